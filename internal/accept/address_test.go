package accept

import (
	"io"
	"net"
	"testing"
)

// TestAddresses shows what counts as one address, and that each end makes room.
func TestAddresses(t *testing.T) {
	refused := 0
	a := &Addresses{Most: 2, Refused: func(net.Addr) { refused++ }}
	for _, c := range []struct {
		from string
		want bool
	}{
		{"192.0.2.1:1", true}, {"[::ffff:192.0.2.1]:2", true}, {"192.0.2.1:3", false}, {"192.0.2.2:1", true},
		{"[2001:db8::1]:1", true}, {"[2001:db8::2]:1", true}, {"[2001:db8::ffff:3]:1", false}, {"[2001:db8:0:1::1]:1", true},
	} {
		if got := a.Take(address(c.from)); got != c.want {
			t.Errorf("%s: got %v, want %v", c.from, got, c.want)
		}
	}
	for range 3 {
		if !a.Take(&net.UnixAddr{Name: "/s", Net: "unix"}) {
			t.Error("a Unix domain socket was counted")
		}
	}
	a.GiveBack(address("192.0.2.1:9"))
	if !a.Take(address("192.0.2.1:4")) || a.Take(address("192.0.2.1:5")) {
		t.Error("an end has not made room for one, and one only")
	}
	if refused != 3 {
		t.Errorf("%d were told, want 3", refused)
	}
	var none Addresses
	for range 9 {
		if !none.Take(address("192.0.2.1:1")) || none.conns != nil {
			t.Fatal("without a limit something is counted")
		}
	}
}

// TestAddressesListen shows that a listener closes one too many, and that Close makes room, once.
func TestAddressesListen(t *testing.T) {
	below := newPipes()
	l := (&Addresses{Most: 1}).Listen(below)
	dial := func() (client, server net.Conn) {
		client, server = net.Pipe()
		below.conns <- far{server, address("192.0.2.1:1")}
		return client, server
	}
	accepted := make(chan net.Conn)
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				close(accepted)
				return
			}
			accepted <- nc
		}
	}()
	dial()
	first := <-accepted
	second, _ := dial()
	if _, err := second.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("one too many: got %v, want the end", err)
	}
	first.Close()
	first.Close()
	dial()
	<-accepted
	fourth, _ := dial()
	if _, err := fourth.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("one too many after Close was called twice: got %v, want the end", err)
	}
	l.Close()
	if _, open := <-accepted; open {
		t.Error("Accept does not end")
	}
}
