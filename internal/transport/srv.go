package transport

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// Resolver looks SRV records up; net.DefaultResolver is one. What it returns is in the
// order in which RFC 2782 has clients try.
type Resolver interface {
	LookupSRV(ctx context.Context, service, proto, name string) (cname string, records []*net.SRV, err error)
}

// The services of SRV records (IANA).
const (
	ServiceMQTT       = "mqtt"
	ServiceSecureMQTT = "secure-mqtt" // with TLS
)

// LookupServers returns the addresses, host:port, of the servers that the SRV records
// of domain name for a service, in the order in which to try them; at least one.
func LookupServers(ctx context.Context, r Resolver, service, domain string) ([]string, error) {
	_, records, err := r.LookupSRV(ctx, service, "tcp", domain)
	if err != nil {
		return nil, err
	}
	var addresses []string
	for _, record := range records {
		// The target "." says that there is no such service [RFC 2782].
		if host := strings.TrimSuffix(record.Target, "."); host != "" {
			addresses = append(addresses, net.JoinHostPort(host, strconv.Itoa(int(record.Port))))
		}
	}
	if len(addresses) == 0 {
		return nil, &net.DNSError{Err: "no server offers this service", Name: fmt.Sprintf("_%s._tcp.%s", service, domain), IsNotFound: true}
	}
	return addresses, nil
}
