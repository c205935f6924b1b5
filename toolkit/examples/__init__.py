"""Examples that ship with the package: each is a folder with its data, its fleet and its workflow."""
