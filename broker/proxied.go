package broker

// ProxiedTLS is what a proxy that has ended a client's TLS says of it, in a header that the
// listener believes. A net.Conn tells it by a method ProxiedTLS() *ProxiedTLS.
type ProxiedTLS struct {
	Version    string // such as "TLSv1.3"; may be empty
	Verified   bool   // the client has shown a certificate, and the proxy has found it right
	CommonName string // of that certificate; empty when there is none, or none that is UTF-8
}
