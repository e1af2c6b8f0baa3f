"""The built site and the generated notebooks, as a reader meets them."""
