"""400 telephone and call centres: 天润, 七陌, 阿里云 and 腾讯云, or any that pushes its calls."""
