package auth

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
)

// door is a Guard before users whose password is "right".
type door struct {
	*testing.T
	*Guard
	bans  []Ban
	asked int
}

func guarding(t *testing.T, o GuardOptions, story func(d *door)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		d := &door{T: t}
		o.Banned = func(b Ban) { d.bans = append(d.bans, b) }
		d.Guard = NewGuard(o)
		story(d)
	})
}

// Authenticate is broker.Authenticator's.
func (d *door) Authenticate(_ context.Context, r *broker.ConnectRequest) error {
	d.asked++
	switch string(r.Password) {
	case "right":
		return nil
	case "certificate":
		r.UserName = "another"
		return nil
	case "busy":
		return colibri.ServerBusy
	}
	return refusal("wrong")
}

// try logs in and says what came of it: in, wrong, busy or banned.
func (d *door) try(from, user, password string) string {
	r := login(user, password)
	r.RemoteAddr = &net.TCPAddr{IP: net.ParseIP(from), Port: 4000}
	err := d.Guard.Authenticate(d.Context(), r, d)
	switch {
	case err == nil:
		return "in"
	case errors.Is(err, colibri.Banned):
		return "banned"
	case errors.Is(err, colibri.ServerBusy):
		return "busy"
	}
	return "wrong"
}

// expect tries several times with the same.
func (d *door) expect(times int, from, user, password, want string) {
	d.Helper()
	for i := range times {
		if got := d.try(from, user, password); got != want {
			d.Errorf("%s as %s with %s, time %d: got %s, want %s", from, user, password, i+1, got, want)
			return
		}
	}
}

const (
	here  = "192.0.2.1"
	there = "198.51.100.7"
	local = "127.0.0.1"
)

var five = GuardOptions{Failures: 5, Longest: time.Minute}

func TestGuardBansTheName(t *testing.T) {
	guarding(t, five, func(d *door) {
		d.expect(5, here, "ann", "no", "wrong")
		d.expect(1, here, "ann", "no", "wrong") // the sixth begins the ban
		asked := d.asked
		d.expect(1000, here, "ann", "right", "banned")
		if d.asked != asked {
			d.Error("somebody is asked about a client that is banned")
		}
		d.expect(1, here, "bob", "right", "in")   // another user behind the same address
		d.expect(1, there, "ann", "right", "in")  // the same user from elsewhere
		d.expect(1, here, "ann", "no", "banned")  // which does not help here
		time.Sleep(time.Second + time.Nanosecond) // 1 s
		d.expect(1, here, "ann", "right", "in")   // and all is forgotten
		d.expect(5, here, "ann", "no", "wrong")
		d.expect(1, here, "ann", "right", "in")
	})
}

func TestBansGrow(t *testing.T) {
	guarding(t, five, func(d *door) {
		d.expect(5, here, "ann", "no", "wrong")
		for range 10 {
			d.expect(1, here, "ann", "no", "wrong")
			time.Sleep(d.bans[len(d.bans)-1].For - time.Nanosecond)
			d.expect(1, here, "ann", "no", "banned")
			time.Sleep(2 * time.Nanosecond)
		}
		var got []string
		for _, b := range d.bans {
			got = append(got, b.For.String())
			if b.Address != here || b.UserName != "ann" {
				d.Errorf("got %+v, want who it was", b)
			}
		}
		if text, want := strings.Join(got, " "), "1s 2s 4s 8s 16s 32s 1m0s 1m0s 1m0s 1m0s"; text != want {
			d.Errorf("got %s, want %s", text, want)
		}
		time.Sleep(3 * time.Hour)
		d.expect(5, here, "ann", "no", "wrong")
		if len(d.bans) != 10 {
			d.Error("nothing is forgotten in three hours")
		}
	})
}

// TestGuardBansTheAddress shows who is shut out by somebody who tries many names from one
// address: those there who have not logged in before.
func TestGuardBansTheAddress(t *testing.T) {
	guarding(t, five, func(d *door) {
		d.expect(1, here, "ann", "right", "in")
		for i := range 51 {
			d.expect(1, here, fmt.Sprint("user", i), "no", "wrong")
		}
		d.expect(1, here, "bob", "right", "banned")
		d.expect(1, here, "ann", "right", "in")
		d.expect(1, there, "bob", "right", "in")
		if len(d.bans) != 1 || d.bans[0] != (Ban{here, "", time.Second}) {
			d.Errorf("got %+v, want one ban of the address", d.bans)
		}
		time.Sleep(time.Second + time.Nanosecond)
		d.expect(1, here, "bob", "right", "in")
	})
	guarding(t, five, func(d *door) { // this machine itself
		for i := range 500 {
			d.expect(1, local, fmt.Sprint("user", i), "no", "wrong")
		}
		d.expect(1, local, "bob", "right", "in")
	})
}

func TestGuardIsMildAtHome(t *testing.T) {
	guarding(t, five, func(d *door) {
		d.expect(5, local, "ann", "no", "wrong")
		for range 10 {
			d.expect(1, local, "ann", "no", "wrong")
			time.Sleep(d.bans[len(d.bans)-1].For + time.Nanosecond)
		}
		if b := d.bans[len(d.bans)-1]; b.For != loopbackLongest {
			d.Errorf("got %v, want %v", b.For, loopbackLongest)
		}
	})
}

// TestGuardKeepsTheOwnerIn shows that a name under attack from many addresses still lets its
// owner in, from an address that nobody knows, while each guess costs its address a ban.
func TestGuardKeepsTheOwnerIn(t *testing.T) {
	guarding(t, five, func(d *door) {
		from := func(i int) string { return fmt.Sprintf("10.0.%d.%d", i/250, i%250) }
		for i := range 50 {
			d.expect(1, from(i), "ann", "no", "wrong")
		}
		if len(d.bans) != 0 {
			d.Errorf("got %+v, want no ban yet", d.bans)
		}
		for i := range 50 {
			d.expect(1, from(100+i), "ann", "no", "wrong")
			d.expect(1, from(100+i), "ann", "no", "banned")
		}
		d.expect(1, here, "ann", "right", "in")
		d.expect(5, here, "bob", "no", "wrong")
	})
}

// TestGuardWantsProof shows that who is let in under another name has not proven the one that
// it wrote, and ends no ban of it.
func TestGuardWantsProof(t *testing.T) {
	guarding(t, five, func(d *door) {
		d.expect(5, here, "ann", "guess", "wrong")
		d.expect(1, here, "ann", "certificate", "in")
		d.expect(1, here, "ann", "guess", "wrong")
		d.expect(1, here, "ann", "guess", "banned")
	})
}

// TestGuardCountsWithoutName shows that a Password without a User Name, such as a token, is not
// guessed for nothing.
func TestGuardCountsWithoutName(t *testing.T) {
	guarding(t, five, func(d *door) {
		d.expect(6, here, "-", "guess", "wrong")
		d.expect(1, here, "-", "right", "banned")
		d.expect(20, here, "-", "-", "wrong") // says nothing, so guesses nothing
	})
}

// TestGuardCounts shows what is no failed login.
func TestGuardCounts(t *testing.T) {
	guarding(t, five, func(d *door) {
		d.expect(100, here, "ann", "busy", "busy")
		d.expect(100, here, "-", "-", "wrong") // without both nothing is guessed
		if len(d.bans) != 0 || d.try(here, "ann", "right") != "in" {
			d.Errorf("got %+v, want no bans", d.bans)
		}
	})
}

func TestGuardAddresses(t *testing.T) {
	for _, c := range []struct {
		address net.Addr
		want    string
	}{
		{&net.TCPAddr{IP: net.ParseIP("192.0.2.1"), Port: 1}, "192.0.2.1"},
		{&net.TCPAddr{IP: net.ParseIP("2001:db8:1:2:3:4:5:6"), Port: 1}, "2001:db8:1:2::/64"},
		{&net.TCPAddr{IP: net.ParseIP("fe80::1"), Zone: "eth0"}, "fe80::/64"},
		{&net.TCPAddr{IP: net.ParseIP("::1"), Port: 1}, "::1"},
		{&net.UDPAddr{IP: net.ParseIP("192.0.2.1"), Port: 1}, "192.0.2.1"},
		{&net.UnixAddr{Name: "@", Net: "unix"}, "127.0.0.1"},
		{&net.TCPAddr{}, "127.0.0.1"},
		{nil, "127.0.0.1"},
	} {
		if got := describe(Prefix(c.address)); got != c.want {
			t.Errorf("%v: got %s, want %s", c.address, got, c.want)
		}
	}
}

// TestGuardIsBounded shows that a flood of names fills no memory, and does not wash away the
// ban of the address that it comes from.
func TestGuardIsBounded(t *testing.T) {
	guarding(t, five, func(d *door) {
		for i := range guardEntries + 10_000 {
			d.wrong(&net.TCPAddr{IP: net.ParseIP(here)}, fmt.Sprint(i))
			if i%1000 == 0 {
				time.Sleep(time.Millisecond)
			}
		}
		if n := len(d.entries); n > guardEntries {
			d.Errorf("got %d entries, want at most %d", n, guardEntries)
		}
		if d.Evicted() == 0 {
			d.Error("nothing is counted as evicted")
		}
		d.expect(1, here, "ann", "right", "banned")
	})
}

// riddle is an Exchange that lets in who says so.
type riddle struct{ broker.Exchange }

func (riddle) Step(_ context.Context, data []byte) ([]byte, bool, error) {
	if strings.HasSuffix(string(data), "right") {
		return nil, true, nil
	}
	return nil, false, refusal("wrong")
}

func TestGuardMethod(t *testing.T) {
	guarding(t, five, func(d *door) {
		m := d.Method(broker.Method{Name: "X", Begin: func(*broker.ConnectRequest) broker.Exchange { return riddle{} }})
		try := func(data string) error {
			_, _, err := m.Begin(login("-", "-")).Step(d.Context(), []byte(data))
			return err
		}
		for range 6 {
			if err := try("n,,n=ann,r=no"); !errors.Is(err, colibri.NotAuthorized) {
				d.Fatalf("got %v, want NotAuthorized", err)
			}
		}
		if err := try("n,,n=ann,r=right"); !errors.Is(err, colibri.Banned) {
			d.Errorf("after failures: got %v, want Banned", err)
		}
		if err := try("n,,n=bob,r=right"); err != nil {
			d.Errorf("another name: got %v", err)
		}
		time.Sleep(time.Minute)
		if err := try("n,,n=ann,r=right"); err != nil {
			d.Errorf("later: got %v", err)
		}
	})
}
