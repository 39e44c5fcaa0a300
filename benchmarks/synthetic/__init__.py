"""Images and videos that are made up: textures, pairs with exact flow, videos as an extraction leaves them."""
