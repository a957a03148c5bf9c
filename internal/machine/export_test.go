package machine

// SignText is Sign for a time that is written in some other way.
func SignText(k Key, id, stamp, body string) string { return k.sign(id, stamp, []byte(body)) }
