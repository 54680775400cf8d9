"""Weight files: safe reading, loading with a full account, published layouts, conversion."""
