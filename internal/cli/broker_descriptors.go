package cli

import (
	"net"
	"syscall"

	"github.com/colibri-mqtt/colibri/broker"
)

// reservedDescriptors is how many file descriptors connections leave for everything else:
// the state on disk begins files, and a reload reads some.
const reservedDescriptors = 32

// descriptorLimit bounds the connections by the descriptors that the process may have. A
// new connection gets the lowest number that is free, so that number says how many are in
// use, by whatever: also by connections that no listener counts yet.
type descriptorLimit struct {
	most   uint64 // of the process; 0 when it is not known
	closed func(remote net.Addr)
}

// admitted returns what bounds the connections of a listener before above, which may be nil,
// takes it over.
func (s *brokerServer) admitted(above func(net.Listener) net.Listener) func(net.Listener) net.Listener {
	limit := &descriptorLimit{most: descriptorsOfProcess()}
	limit.closed = func(remote net.Addr) {
		if !s.descriptorsTold.Swap(true) {
			s.log.printf(logWarning, "Connections are closed at once from here on, when there are too many: this process may have %d file descriptors "+
				"and keeps %d of them for other files. Raise the limit with 'ulimit -n', or LimitNOFILE of systemd.", limit.most, limit.reserve())
		}
		if b := s.broker.Load(); b != nil {
			b.TurnedAway(remote, broker.LimitDescriptors)
		}
	}
	return func(l net.Listener) net.Listener {
		l = &spareListener{l, limit}
		if above != nil {
			l = above(l)
		}
		return l
	}
}

// spareListener is a listener whose connections leave descriptors for other things.
type spareListener struct {
	net.Listener
	limit *descriptorLimit
}

// Accept waits for a connection that there is room for; others are closed.
func (l *spareListener) Accept() (net.Conn, error) {
	for {
		nc, err := l.Listener.Accept()
		if err != nil || l.limit.room(nc) {
			return nc, err
		}
		nc.Close()
	}
}

// reserve returns how many descriptors are kept, which is less where there are few.
func (d *descriptorLimit) reserve() uint64 { return min(reservedDescriptors, d.most/4) }

// room reports whether there are descriptors left beyond nc, which may stay open then. It
// tells closed when not.
func (d *descriptorLimit) room(nc net.Conn) bool {
	holder, ok := nc.(syscall.Conn)
	if !ok || d.most == 0 {
		return true
	}
	raw, err := holder.SyscallConn()
	if err != nil {
		return true // it is closed already, as whoever reads it will see
	}
	room := true
	raw.Control(func(number uintptr) { room = uint64(number) < d.most-d.reserve() })
	if room {
		return true
	}
	d.closed(nc.RemoteAddr())
	return false
}
