"""How the page looks. Fonts are the system's own, so that nothing is loaded from other hosts."""

import gradio as gr

SANS = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "DejaVu Sans", "sans-serif"]
MONO = ["ui-monospace", "Menlo", "Consolas", "DejaVu Sans Mono", "monospace"]

CSS = """
.gradio-container { width: 100% !important; max-width: 1320px !important; margin: 0 auto !important; }
#title h1 { margin: 0; font-size: 1.6rem; font-weight: 700; letter-spacing: -0.01em; }
#title p { margin: 0.15rem 0 0; color: var(--body-text-color-subdued); }
.legend { display: flex; flex-wrap: wrap; gap: 0.45rem; margin: 0; padding: 0; list-style: none; }
.legend li {
  display: inline-flex; align-items: center; gap: 0.45rem; margin: 0; padding: 0.25rem 0.65rem 0.25rem 0.45rem;
  border: 1px solid var(--border-color-primary); border-radius: 999px; background: var(--background-fill-primary);
  color: var(--body-text-color); font-size: 0.9rem; line-height: 1.3; max-width: 100%;
}
.legend .swatch {
  flex: none; width: 0.95rem; height: 0.95rem; border-radius: 50%; box-shadow: inset 0 0 0 1px rgb(0 0 0 / 25%);
}
.legend .name { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; font-weight: 600; }
.legend .notes { white-space: nowrap; color: var(--body-text-color-subdued); font-variant-numeric: tabular-nums; }
.hint { margin: 0.2rem 0; color: var(--body-text-color-subdued); }
.bar { height: 0.55rem; border-radius: 999px; overflow: hidden; background: var(--border-color-primary); }
.bar div { height: 100%; border-radius: inherit; background: var(--primary-600); transition: width 0.2s; }
#title .html-container, .flush .html-container { padding: 0; }
#image-out img, #image-in img { width: 100%; height: 100%; object-fit: contain; }
#click-picture img { cursor: crosshair; }
@media (max-width: 700px) { .gradio-container { padding: 0.5rem !important; } }
"""


def theme() -> gr.themes.Base:
    base = gr.themes.Default(
        primary_hue="indigo", secondary_hue="indigo", neutral_hue="slate", font=SANS, font_mono=MONO
    )
    # Gradio's own shades of these are too pale to read: below the contrast of 4.5 that WCAG 2.2 asks for.
    return base.set(
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
        input_placeholder_color="*neutral_500",
        input_placeholder_color_dark="*neutral_400",
    )
