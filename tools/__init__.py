"""The place of the user's own tools: one typed function a file. Nothing reads them yet."""
