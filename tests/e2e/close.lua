wrk.headers["Connection"] = "close" -- a connection for each request
