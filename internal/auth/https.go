package auth

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"time"
)

// maxFileBytes is how much of a file with keys, certificates or a secret is read.
const maxFileBytes = 1 << 20

// ReadFile reads a file of reasonable size. Its error names the path.
func ReadFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		if wrapped, ok := errors.AsType[*fs.PathError](err); ok {
			err = wrapped.Err
		}
		return nil, fmt.Errorf("%s cannot be read: %w", path, err)
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, maxFileBytes+1))
	switch {
	case err != nil:
		if wrapped, ok := errors.AsType[*fs.PathError](err); ok {
			err = wrapped.Err
		}
		return nil, fmt.Errorf("%s cannot be read: %w", path, err)
	case len(b) > maxFileBytes:
		return nil, fmt.Errorf("%s has more than %d bytes, which cannot be meant", path, maxFileBytes)
	}
	return b, nil
}

// ClientTLS returns how to trust a server: by the authorities in caFile, or by those of the
// system without one. At least TLS 1.2; name and chain are always verified.
func ClientTLS(caFile string) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if caFile == "" {
		return c, nil
	}
	b, err := ReadFile(caFile)
	if err != nil {
		return nil, err
	}
	c.RootCAs = x509.NewCertPool()
	if !c.RootCAs.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("%s holds no certificate; it should hold that of the authority, as PEM", caFile)
	}
	return c, nil
}

// HTTPClient returns a client that asks one server: it follows no redirection, uses no
// proxy, keeps atOnce connections at most, and reads no more headers than 16 KiB.
func HTTPClient(c *tls.Config, atOnce int) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext:            (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
			TLSClientConfig:        c,
			TLSHandshakeTimeout:    10 * time.Second,
			ForceAttemptHTTP2:      true,
			MaxConnsPerHost:        atOnce,
			MaxIdleConnsPerHost:    atOnce,
			IdleConnTimeout:        90 * time.Second,
			MaxResponseHeaderBytes: 16 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
