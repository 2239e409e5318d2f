package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/colibri-mqtt/colibri/internal/pki"
)

// secureRows are what is measured over TLS, of both brokers with the same certificates.
var secureRows = []struct {
	row
	seconds bool // the row is as long as the others; else it is over when all connections were made
}{
	{row{"handshake and CONNECT, in full", []string{"--scenario", "connect", "--churn", "--conns", "4000", "--concurrency", "32"}, "broker_us_per_conn", microseconds, "%.0f"}, false},
	{row{"the same, a second", []string{"--scenario", "connect", "--churn", "--conns", "4000", "--concurrency", "32"}, "connects_per_s", "", "%.0f"}, false},
	{row{"fan-out 1→50, QoS 0", load("fanout", 0, "--pubs", "1", "--subs", "50"), perMessage, microseconds, "%.2f"}, true},
	{row{"fan-out 1→50, QoS 1", load("fanout", 1, "--pubs", "1", "--subs", "50"), perMessage, microseconds, "%.2f"}, true},
	{row{"pairs 50, QoS 0", load("pairs", 0, "--pubs", "50"), perMessage, microseconds, "%.2f"}, true},
	{row{"pairs 50, QoS 1", load("pairs", 1, "--pubs", "50"), perMessage, microseconds, "%.2f"}, true},
	{row{"idle connection", []string{"--scenario", "idle", "--conns", "5000", "--src-addrs", "4"}, "rss_per_conn_b", "bytes", "%.0f"}, true},
}

// secure measures both brokers over TLS.
func secure(o *options, dir string) (string, error) {
	mqload, err := buildGenerator(o.mqload, dir, "-DWITH_TLS", "-lssl", "-lcrypto")
	if err != nil {
		return "", err
	}
	mosquitto, err := findMosquitto()
	if err != nil {
		return "", err
	}
	hosts, err := pki.Machine()
	if err != nil {
		return "", err
	}
	certificates := filepath.Join(dir, "pki")
	if _, err := pki.Create(certificates, hosts, nil, time.Now()); err != nil {
		return "", err
	}
	lines := fmt.Sprintf("certfile %s\nkeyfile %s\nmax_queued_messages 0\n",
		filepath.Join(certificates, "server.crt"), filepath.Join(certificates, "server.key"))
	if os.Getuid() == 0 {
		lines += "user root\n" // who may read the key
	}
	contenders := []contender{
		configured("Colibri", lines, o.colibri, "broker", "-q", "-c"),
		configured("Mosquitto", lines, mosquitto, "-c"),
		configured("Mosquitto, set_tcp_nodelay", lines+"set_tcp_nodelay true\n", mosquitto, "-c"),
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s; %s. TLS 1.3, ECDSA on P-256 with both. %d interleaved runs of %g s each, every one on a freshly started broker.\n\n",
		where(), mosquittoVersion(mosquitto), o.runs, o.seconds)
	b.WriteString("| broker CPU µs over TLS (bytes for the last row) | Colibri | Mosquitto | Mosquitto, set_tcp_nodelay | Mosquitto ÷ Colibri |\n|---|---|---|---|---|\n")
	for _, r := range secureRows {
		measured := result{row: r.row, values: make([][]float64, len(contenders)), latency: make([][]float64, len(contenders)),
			faults: make([]int, len(contenders))}
		seconds := o.seconds
		if !r.seconds {
			seconds = 0
		}
		r.args = append(slices.Clone(r.args), "--tls", "--cafile", filepath.Join(certificates, "ca.crt"))
		err := interleaved(o.runs, len(contenders), func(c int) error {
			m, err := measure(contenders[c], mqload, dir, r.row, seconds)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", contenders[c].name, r.name, err)
			}
			measured.values[c] = append(measured.values[c], m.value)
			if !m.ok {
				measured.faults[c]++
			}
			return nil
		})
		if err != nil {
			return "", err
		}
		fmt.Fprintln(os.Stdout, measured.line())
		b.WriteString(measured.line() + "\n")
	}
	return b.String(), nil
}
