package cli

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"runtime/metrics"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/internal/passwd"
	"github.com/colibri-mqtt/colibri/packet"
)

// BenchmarkLoginStorm has 2,000 clients with argon2id passwords connect at once, for the first
// time and then again, and reports how long a connected client waits for its own message
// meanwhile, how much memory was taken at most, and how many were let in. It is no
// average of many runs: use -benchtime 1x.
func BenchmarkLoginStorm(b *testing.B) {
	for range b.N {
		address := stormBroker(b)
		quiet := delays(b, address, func() { time.Sleep(2 * time.Second) })
		var first, again stormResult
		cold := delays(b, address, func() { first = storm(b, address) })
		warm := delays(b, address, func() { again = storm(b, address) })
		b.ReportMetric(quiet, "p99-quiet-µs")
		b.ReportMetric(cold, "p99-first-µs")
		b.ReportMetric(warm, "p99-again-µs")
		b.ReportMetric(float64(first.in), "in-first")
		b.ReportMetric(float64(again.in), "in-again")
		b.ReportMetric(first.mebibytes, "MiB-first")
		b.ReportMetric(0, "ns/op")
	}
}

const stormClients = 2000

// stormBroker starts a broker with a user for each client, and returns its address.
func stormBroker(b *testing.B) string {
	b.Helper()
	hash, err := passwd.New(passwd.Argon2id, 0, []byte(secret))
	if err != nil {
		b.Fatal(err)
	}
	path := filepath.Join(b.TempDir(), "passwords")
	e := passwd.Create(path)
	for i := range stormClients {
		e.Set(fmt.Sprint("user", i), hash.String())
	}
	if err := e.Save(); err != nil {
		b.Fatal(err)
	}
	conf := filepath.Join(b.TempDir(), "my.conf")
	text := "listener 0 127.0.0.1\nallow_anonymous true\nlog_type error\nlog_type notice\nconnection_messages false\npersistence false\npassword_file " + path + "\n"
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	var log transcript
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"colibri", "broker", "-c", conf}, strings.NewReader(""), io.Discard, &log)
	}()
	b.Cleanup(func() { cancel(); <-ended })
	for {
		text, changed := log.now()
		if found := regexp.MustCompile(`listening on +(127\.0\.0\.1:\d+) `).FindStringSubmatch(text); found != nil {
			return found[1]
		}
		select {
		case <-changed:
		case <-time.After(patience):
			b.Fatal("the broker does not listen")
		}
	}
}

// delays returns the 99th percentile, in microseconds, of what a message takes from a client
// to itself while during runs.
func delays(b *testing.B, address string, during func()) float64 {
	b.Helper()
	nc, err := net.Dial("tcp", address)
	if err != nil {
		b.Fatal(err)
	}
	defer nc.Close()
	buffer := make([]byte, 4096)
	exchange := func(p packet.Packet) {
		bytes, err := packet.Append(nil, p, colibri.V311)
		if err == nil {
			_, err = nc.Write(bytes)
		}
		if err == nil {
			_, err = nc.Read(buffer)
		}
		if err != nil {
			b.Error(err)
		}
	}
	exchange(&packet.Connect{Version: colibri.V311, CleanStart: true})
	exchange(&packet.Subscribe{PacketID: 1, Subscriptions: []colibri.Subscription{{Filter: "a"}}})
	done := make(chan struct{})
	go func() { defer close(done); during() }()
	var took []time.Duration
	for tick := time.NewTicker(2 * time.Millisecond); ; <-tick.C {
		select {
		case <-done:
			tick.Stop()
			slices.Sort(took)
			return float64(took[len(took)*99/100].Microseconds())
		default:
		}
		began := time.Now()
		exchange(&packet.Publish{Topic: "a", Payload: []byte("x")})
		took = append(took, time.Since(began))
	}
}

// stormResult is what came of a storm.
type stormResult struct {
	in        int64   // clients that were let in
	mebibytes float64 // of the heap, at most
}

// storm has all clients connect at once, and waits until each has its answer.
func storm(b *testing.B, address string) (r stormResult) {
	b.Helper()
	var in atomic.Int64
	var all sync.WaitGroup
	for i := range stormClients {
		all.Go(func() {
			nc, err := net.Dial("tcp", address)
			if err != nil {
				return
			}
			defer nc.Close()
			connect, _ := packet.Append(nil, &packet.Connect{Version: colibri.V311, CleanStart: true, ClientID: fmt.Sprint(i),
				HasUserName: true, UserName: fmt.Sprint("user", i), HasPassword: true, Password: []byte(secret)}, colibri.V311)
			nc.Write(connect)
			var answer [4]byte
			if _, err := io.ReadFull(nc, answer[:]); err == nil && answer[3] == 0 {
				in.Add(1)
			}
		})
	}
	ended := make(chan struct{})
	go func() { defer close(ended); all.Wait() }()
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	for tick := time.NewTicker(time.Millisecond); ; <-tick.C {
		metrics.Read(sample)
		r.mebibytes = max(r.mebibytes, float64(sample[0].Value.Uint64())/(1<<20))
		select {
		case <-ended:
			tick.Stop()
			r.in = in.Load()
			return r
		default:
		}
	}
}
