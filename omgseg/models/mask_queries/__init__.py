"""What mask-query models share: losses, read-outs and video association. Nothing here imports a model."""
