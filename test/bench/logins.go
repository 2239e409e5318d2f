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
	"github.com/colibri-mqtt/colibri/internal/passwd"
	"github.com/colibri-mqtt/colibri/packet"
)

const (
	stormClients  = 2000
	stormUser     = "device%d"
	stormPassword = "a password of the storm"
	pairEvery     = 2 * time.Millisecond
	pairTopic     = "bench/pair"
)

// loggedIn is what one run of logins has measured.
type loggedIn struct {
	quiet, storm   latencies
	in, busy       float64 // CONNACKs a second: let in, and refused as too many wait
	broker, hasher float64 // bytes of memory, at most
}

// latencies are those of a pair of clients, in ms.
type latencies struct{ p50, p99 float64 }

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
	var runs []loggedIn
	for range o.runs {
		l, err := loginsOnce(ours, dir, length)
		if err != nil {
			return "", err
		}
		runs = append(runs, l)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s. %d runs of %g s quiet and then %g s of the storm, every one on a freshly started broker.\n\n",
		where(), o.runs, length.Seconds(), length.Seconds())
	b.WriteString("| | quiet | in the storm |\n|---|---|---|\n")
	column := func(format string, of func(l loggedIn) float64) string { return spread(format, runs, of) }
	for _, line := range [][3]string{
		{"a message, p50, ms", column("%.2f", func(l loggedIn) float64 { return l.quiet.p50 }), column("%.2f", func(l loggedIn) float64 { return l.storm.p50 })},
		{"a message, p99, ms", column("%.2f", func(l loggedIn) float64 { return l.quiet.p99 }), column("%.2f", func(l loggedIn) float64 { return l.storm.p99 })},
		{"p99 in the storm ÷ quiet", "", column("%.1f", func(l loggedIn) float64 { return l.storm.p99 / l.quiet.p99 })},
		{"let in, clients a second", "", column("%.1f", func(l loggedIn) float64 { return l.in })},
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
// while all the others try to log in.
func loginsOnce(c contender, dir string, length time.Duration) (l loggedIn, err error) {
	broker, err := c.serve(dir)
	if err != nil {
		return l, err
	}
	defer broker.stop()
	time.Sleep(warmUp)
	if l.quiet, err = pair(broker, length); err != nil {
		return l, err
	}
	// The clients come from another process of low priority, as devices do not take their
	// processor time from the broker's machine.
	self, err := os.Executable()
	if err != nil {
		return l, err
	}
	storm := exec.Command("nice", "-n", "19", self, "-storm", strconv.Itoa(broker.port), "-seconds", fmt.Sprint(length.Seconds()))
	storm.Stderr = os.Stderr
	out, err := storm.StdoutPipe()
	if err != nil {
		return l, err
	}
	if err := storm.Start(); err != nil {
		return l, err
	}
	defer storm.Wait()
	if _, err := out.Read(make([]byte, 1)); err != nil { // it begins
		return l, fmt.Errorf("the storm does not begin: %w", err)
	}
	l.storm, err = pair(broker, length)
	if err != nil {
		storm.Process.Kill()
		return l, err
	}
	var s stormed
	if err := json.NewDecoder(out).Decode(&s); err != nil {
		return l, fmt.Errorf("the storm has not said what came of it: %w", err)
	}
	if s.Other > 0 || s.In == 0 {
		return l, fmt.Errorf("%d clients were let in, and %d attempts failed for other reasons than a busy broker", s.In, s.Other)
	}
	l.in, l.busy = float64(s.In)/length.Seconds(), float64(s.Busy)/length.Seconds()
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

// pair publishes at QoS 0 from one client to another, at a fixed rate whatever comes, and
// returns how long the messages took.
func pair(broker *process, length time.Duration) (l latencies, err error) {
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
	wanted := int(length / pairEvery)
	took := make([]time.Duration, 0, wanted)
	began := time.Now()
	failed := make(chan error, 1)
	go func() {
		got := make([]byte, len(b))
		to.SetDeadline(time.Now().Add(length + silence))
		for range wanted {
			if _, err := io.ReadFull(to, got); err != nil {
				failed <- err
				return
			}
			took = append(took, time.Since(began)-time.Duration(binary.BigEndian.Uint64(got[stamp:])))
		}
		failed <- nil
	}()
	every := time.NewTicker(pairEvery)
	defer every.Stop()
	for range wanted {
		<-every.C
		binary.BigEndian.PutUint64(b[stamp:], uint64(time.Since(began)))
		if _, err := from.Write(b); err != nil {
			return l, err
		}
	}
	if err := <-failed; err != nil {
		return l, fmt.Errorf("after %d of %d messages: %w", len(took), wanted, err)
	}
	slices.Sort(took)
	return latencies{p50: milliseconds(percentile(took, 0.50)), p99: milliseconds(percentile(took, 0.99))}, nil
}

// stormed is what came of a storm.
type stormed struct{ In, Busy, Other int64 }

// storm has all clients connect to a port of this machine at once. Who is refused because too
// many wait tries again after one to three seconds, until the time is over. Who was let in
// stays.
func storm(port string, length time.Duration) error {
	var in, busy, other atomic.Int64
	deadline := time.Now().Add(length)
	attempt := func(i int) (again bool) {
		nc, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err != nil {
			other.Add(1)
			return false
		}
		nc.SetDeadline(deadline)
		code, err := logIn(nc, i)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
		case err == nil && code == colibri.Success:
			in.Add(1)
			return false // and stays connected until the process ends
		case err == nil && code == colibri.ServerBusy || code == colibri.ServerUnavailable:
			busy.Add(1)
		default:
			other.Add(1)
		}
		nc.Close()
		return true
	}
	os.Stdout.WriteString("\n") // it begins
	var all sync.WaitGroup
	for i := range stormClients {
		all.Go(func() {
			for attempt(i) {
				pause := time.Second + rand.N(2*time.Second)
				if time.Until(deadline) < pause {
					return
				}
				time.Sleep(pause)
			}
		})
	}
	all.Wait()
	if left := time.Until(deadline); left > 0 {
		time.Sleep(left)
	}
	return json.NewEncoder(os.Stdout).Encode(stormed{in.Load(), busy.Load(), other.Load()})
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
