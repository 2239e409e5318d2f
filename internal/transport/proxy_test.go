package transport

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseProxy(t *testing.T) {
	for _, c := range []struct {
		url  string
		want Proxy
		err  string
	}{
		{"socks5h://localhost", Proxy{Address: "localhost:1080"}, ""},
		{"SOCKS5H://127.0.0.1:9050/", Proxy{Address: "127.0.0.1:9050"}, ""},
		{"socks5h://[::1]", Proxy{Address: "[::1]:1080"}, ""},
		{"socks5h://[::1]:5", Proxy{Address: "[::1]:5"}, ""},
		{"socks5h://u@h", Proxy{Address: "h:1080", UserName: "u"}, ""},
		{"socks5h://u%40x:p:%2F@@h:5", Proxy{Address: "h:5", UserName: "u@x", Password: "p:/@"}, ""},
		{"socks5://h", Proxy{}, "is written as socks5h://"},
		{"h:1080", Proxy{}, "is written as socks5h://"},
		{"socks5h://", Proxy{}, "not the host of a proxy"},
		{"socks5h://h/x", Proxy{}, "not the host of a proxy"},
		{"socks5h://h:0", Proxy{}, "between 1 and 65535"},
		{"socks5h://h:99999", Proxy{}, "between 1 and 65535"},
		{"socks5h://u:secret%zz@h", Proxy{}, "write %25"},
		{"socks5h://:secret@h", Proxy{}, "1 to 255 bytes"},
		{"socks5h://u:secret" + strings.Repeat("x", 255) + "@h", Proxy{}, "255 at most"},
		{"socks5h://u:secret@h:x", Proxy{}, "between 1 and 65535"},
	} {
		got, err := ParseProxy(c.url)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) || strings.Contains(err.Error(), "secret") {
				t.Errorf("%s: got %v, want %q", c.url, err, c.err)
			}
			continue
		}
		if err != nil || *got != c.want {
			t.Errorf("%s: got %v, %v, want %v", c.url, got, err, c.want)
		}
	}
}

// records answers look-ups of SRV records without a network.
type records map[string][]*net.SRV

func (r records) LookupSRV(_ context.Context, service, proto, name string) (string, []*net.SRV, error) {
	key := "_" + service + "._" + proto + "." + name
	if found, ok := r[key]; ok {
		return key, found, nil
	}
	return "", nil, &net.DNSError{Err: "no such host", Name: key, IsNotFound: true}
}

func TestLookupServers(t *testing.T) {
	r := records{
		"_mqtt._tcp.a.example":        {{Target: "one.a.example.", Port: 1883}, {Target: "::1", Port: 5}},
		"_secure-mqtt._tcp.a.example": {{Target: "two.a.example.", Port: 8883}},
		"_mqtt._tcp.none.example":     {{Target: ".", Port: 0}},
	}
	for _, c := range []struct {
		service, domain string
		want            []string
	}{
		{ServiceMQTT, "a.example", []string{"one.a.example:1883", "[::1]:5"}},
		{ServiceSecureMQTT, "a.example", []string{"two.a.example:8883"}},
		{ServiceMQTT, "none.example", nil},
		{ServiceMQTT, "unknown.example", nil},
	} {
		got, err := LookupServers(t.Context(), r, c.service, c.domain)
		var lookup *net.DNSError
		if !cmp.Equal(got, c.want) || (c.want == nil) != errors.As(err, &lookup) {
			t.Errorf("%s of %s: got %v, %v, want %v", c.service, c.domain, got, err, c.want)
		}
	}
}
