package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/internal/hasher"
	"github.com/colibri-mqtt/colibri/internal/passwd"
	"github.com/colibri-mqtt/colibri/packet"
)

const (
	stormClients  = 2000
	stormUser     = "device%d"
	stormPassword = "a password of the storm"
	pairEvery     = 2 * time.Millisecond
	pairTopic     = "bench/pair"
	stormTime     = 5 * time.Minute // that the storm may take
)

// loggedIn is what one run of logins has measured.
type loggedIn struct {
	quiet, storm   latencies
	beside         float64 // p99 in the storm ÷ quiet of a pair at another broker
	took           float64 // s until the last client was let in
	busy           float64 // CONNACKs a second that refuse, as too many wait
	broker, hasher float64 // bytes of memory, at most
}

// latencies are those of a pair of clients, in ms.
type latencies struct {
	p50, p99, most float64
	first          float64 // p99 of the first second
}

// logins measures how long messages take while very many clients log in with dear passwords.
func logins(o *options, dir string) (string, error) {
	hash, err := passwd.New(passwd.Argon2id, 0, []byte(stormPassword))
	if err != nil {
		return "", err
	}
	users := filepath.Join(dir, "users")
	e := passwd.Create(users)
	for i := range stormClients {
		e.Set(fmt.Sprintf(stormUser, i), hash.String())
	}
	if err := e.Save(); err != nil {
		return "", err
	}
	length := time.Duration(4 * o.seconds * float64(time.Second))
	ours := configured("Colibri", "persistence false\npassword_file "+users+"\n", o.colibri, "broker", "-q", "-c")
	beside := configured("another", "persistence false\n", o.colibri, "broker", "-q", "-c")
	var runs []loggedIn
	for range o.runs {
		l, err := loginsOnce(ours, ours, dir, length)
		if err != nil {
			return "", err
		}
		other, err := loginsOnce(ours, beside, dir, length)
		if err != nil {
			return "", err
		}
		l.beside = other.storm.p99 / other.quiet.p99
		runs = append(runs, l)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s. %d runs of %g s quiet and then of the whole storm, until the last of %d clients was let in; every one on a freshly started broker.\n\n",
		where(), o.runs, length.Seconds(), stormClients)
	b.WriteString("| | quiet | in the storm |\n|---|---|---|\n")
	column := func(format string, of func(l loggedIn) float64) string { return spread(format, runs, of) }
	for _, line := range [][3]string{
		{"a message, p50, ms", column("%.2f", func(l loggedIn) float64 { return l.quiet.p50 }), column("%.2f", func(l loggedIn) float64 { return l.storm.p50 })},
		{"a message, p99, ms", column("%.2f", func(l loggedIn) float64 { return l.quiet.p99 }), column("%.2f", func(l loggedIn) float64 { return l.storm.p99 })},
		{"p99 in the storm ÷ quiet", "", column("%.1f", func(l loggedIn) float64 { return l.storm.p99 / l.quiet.p99 })},
		{"the same of a pair at another broker of this machine", "", column("%.1f", func(l loggedIn) float64 { return l.beside })},
		{"p99 of the first second, ms", column("%.2f", func(l loggedIn) float64 { return l.quiet.first }), column("%.2f", func(l loggedIn) float64 { return l.storm.first })},
		{"longest, ms", column("%.1f", func(l loggedIn) float64 { return l.quiet.most }), column("%.1f", func(l loggedIn) float64 { return l.storm.most })},
		{"until all are let in, s", "", column("%.0f", func(l loggedIn) float64 { return l.took })},
		{"refused as busy, a second", "", column("%.0f", func(l loggedIn) float64 { return l.busy })},
		{"most memory of the broker (RSS), MiB", "", column("%.0f", func(l loggedIn) float64 { return l.broker / (1 << 20) })},
		{"most memory of the process that compares, MiB", "", column("%.0f", func(l loggedIn) float64 { return l.hasher / (1 << 20) })},
	} {
		text := fmt.Sprintf("| %s | %s | %s |", line[0], line[1], line[2])
		fmt.Fprintln(os.Stdout, text)
		b.WriteString(text + "\n")
	}
	return b.String(), nil
}

// loginsOnce starts the broker and a pair of clients, and measures first without others and then
// while all the others try to log in. The pair is at another broker when at is another one than
// c: what it feels then is the machine's.
func loginsOnce(c, at contender, dir string, length time.Duration) (l loggedIn, err error) {
	broker, err := c.serve(dir)
	if err != nil {
		return l, err
	}
	defer broker.stop()
	quietOne := broker
	if at.name != c.name {
		if quietOne, err = at.serve(dir); err != nil {
			return l, err
		}
		defer quietOne.stop()
	}
	time.Sleep(warmUp)
	if l.quiet, err = pair(quietOne, time.After(length)); err != nil {
		return l, err
	}
	self, err := os.Executable()
	if err != nil {
		return l, err
	}
	storm := exec.Command(self, "-storm", strconv.Itoa(broker.port))
	storm.Stderr = os.Stderr
	out, err := storm.StdoutPipe()
	if err != nil {
		return l, err
	}
	in, err := storm.StdinPipe() // the storm stays until this is closed
	if err != nil {
		return l, err
	}
	if err := storm.Start(); err != nil {
		return l, err
	}
	defer storm.Wait()
	defer in.Close()
	if _, err := out.Read(make([]byte, 1)); err != nil { // it begins
		return l, fmt.Errorf("the storm does not begin: %w", err)
	}
	var s stormed
	var stormErr error
	over := make(chan time.Time)
	go func() {
		stormErr = json.NewDecoder(out).Decode(&s)
		close(over)
	}()
	l.storm, err = pair(quietOne, over)
	if err != nil {
		storm.Process.Kill()
		return l, err
	}
	if stormErr != nil {
		return l, fmt.Errorf("the storm has not said what came of it: %w", stormErr)
	}
	if s.Other > 0 || s.In < stormClients {
		return l, fmt.Errorf("%d of %d clients were let in, and %d attempts failed for other reasons than a busy broker", s.In, stormClients, s.Other)
	}
	l.took, l.busy = s.Took, float64(s.Busy)/s.Took
	if l.broker, err = broker.memory("VmHWM"); err != nil {
		return l, err
	}
	hasher, err := broker.child()
	if err != nil {
		return l, err
	}
	l.hasher, err = memoryOf(hasher, "VmHWM")
	return l, err
}

// pair publishes at QoS 0 from one client to another, at a fixed rate whatever comes, until
// over can be received from, and returns how long the messages took.
func pair(broker *process, over <-chan time.Time) (l latencies, err error) {
	from, _, err := connect(broker, "bench-from", true)
	if err != nil {
		return l, err
	}
	defer from.Close()
	to, _, err := connect(broker, "bench-to", true)
	if err != nil {
		return l, err
	}
	defer to.Close()
	if err := grant(to, pairTopic); err != nil {
		return l, err
	}
	b, err := packet.AppendPublish(nil, &packet.Publish{Topic: pairTopic, Payload: make([]byte, 64)}, colibri.V311)
	if err != nil {
		return l, err
	}
	stamp := len(b) - 64 // where the payload begins
	var took []time.Duration
	began := time.Now()
	failed := make(chan error, 1)
	go func() {
		got := make([]byte, len(b))
		for {
			to.SetReadDeadline(time.Now().Add(silence))
			if _, err := io.ReadFull(to, got); err != nil {
				failed <- err
				return
			}
			sent := binary.BigEndian.Uint64(got[stamp:])
			if sent == 0 { // the last
				failed <- nil
				return
			}
			took = append(took, time.Since(began)-time.Duration(sent))
		}
	}()
	every := time.NewTicker(pairEvery)
	defer every.Stop()
	for again := true; again; {
		sent := uint64(0)
		select {
		case <-over:
			again = false
		case <-every.C:
			sent = uint64(time.Since(began))
		}
		binary.BigEndian.PutUint64(b[stamp:], sent)
		if _, err := from.Write(b); err != nil {
			return l, err
		}
	}
	if err := <-failed; err != nil {
		return l, fmt.Errorf("after %d messages: %w", len(took), err)
	}
	first := slices.Sorted(slices.Values(took[:min(len(took), int(time.Second/pairEvery))]))
	slices.Sort(took)
	return latencies{p50: milliseconds(percentile(took, 0.50)), p99: milliseconds(percentile(took, 0.99)),
		most: milliseconds(took[len(took)-1]), first: milliseconds(percentile(first, 0.99))}, nil
}

// stormed is what came of a storm.
type stormed struct {
	In, Busy, Other int64
	Took            float64 // s
}

// storm has all clients connect to a port of this machine at once. Who is refused because too
// many wait tries again after one to three seconds, until all are let in, and stays until
// standard input is closed. Devices do not take their processor time from the broker's machine:
// so this process stands behind, where the broker has its passwords compared.
func storm(port string) error {
	hasher.StayBehind(1)
	var in, busy, other atomic.Int64
	began := time.Now()
	deadline := began.Add(stormTime)
	attempt := func(i int) (again bool) {
		nc, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err != nil {
			other.Add(1)
			return false
		}
		nc.SetDeadline(deadline)
		switch code, err := logIn(nc, i); {
		case err == nil && code == colibri.Success:
			in.Add(1)
			return false // and stays connected until the process ends
		case err == nil && code == colibri.ServerBusy || code == colibri.ServerUnavailable:
			busy.Add(1)
			again = time.Now().Before(deadline)
		default:
			other.Add(1)
		}
		nc.Close()
		return again
	}
	os.Stdout.WriteString("\n") // it begins
	var all sync.WaitGroup
	for i := range stormClients {
		all.Go(func() {
			for attempt(i) {
				time.Sleep(time.Second + rand.N(2*time.Second))
			}
		})
	}
	all.Wait()
	if err := json.NewEncoder(os.Stdout).Encode(stormed{in.Load(), busy.Load(), other.Load(), time.Since(began).Seconds()}); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// logIn sends the CONNECT of client i and returns the code of the answer.
func logIn(nc net.Conn, i int) (colibri.ReasonCode, error) {
	b, err := packet.Append(nil, &packet.Connect{Version: colibri.V5, ClientID: fmt.Sprintf(stormUser, i), CleanStart: true,
		HasUserName: true, UserName: fmt.Sprintf(stormUser, i), HasPassword: true, Password: []byte(stormPassword)}, colibri.V5)
	if err != nil {
		return 0, err
	}
	if _, err := nc.Write(b); err != nil {
		return 0, err
	}
	buffer := make([]byte, 512)
	for n := 0; ; {
		more, err := nc.Read(buffer[n:])
		if err != nil {
			return 0, err
		}
		n += more
		switch p, _, err := packet.Decode(buffer[:n], colibri.V5); {
		case errors.Is(err, io.ErrUnexpectedEOF):
		case err != nil:
			return 0, err
		default:
			connack, ok := p.(*packet.Connack)
			if !ok {
				return 0, fmt.Errorf("CONNECT was answered by %T", p)
			}
			return connack.Code, nil
		}
	}
}
