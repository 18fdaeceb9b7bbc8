"""From a model, or from anybody's own files, to a run in the lake. The only package that imports torch."""
