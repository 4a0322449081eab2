"""The API described by itself: an OpenAPI 3.1 document made from the route table and its types, and a page of it."""
