"""The projects, each a package of its own: ``omgseg.projects.<name>``.

In a clone they lie in ``projects/`` at the top of the repository, from where the wheel brings them here.
"""

from omgseg.model_table import projects_dir

__path__ = [str(projects_dir())]
