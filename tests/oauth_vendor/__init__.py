"""An adapter kept outside the checkout's own: an account a person signs in to (OAuth2)."""
