"""The binding engine: which component is joined to which, as INF files and the registry say."""
