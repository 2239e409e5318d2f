package accept

import (
	"context"
	"net"
	"time"
)

// Handshakes are those of a listener whose connections begin with one.
type Handshakes struct {
	Network string        // for errors, such as "tls"
	Time    time.Duration // that one may take
	// Open does the handshake on w, which has a deadline, and returns the connection to be
	// accepted, which is made of w.Conn. After an error w is closed. It is called by many
	// goroutines.
	Open func(w *Watched) (net.Conn, error)
	// Failed is told why a handshake has failed: [ErrCrowded], or the error of Open. It is
	// called by many goroutines, and must return soon. Nil discards it.
	Failed func(remote net.Addr, err error)
}

// Listen returns a listener over l, which it takes over: its Accept returns what h.Open makes of
// each connection of l.
//
// At most 1,024 handshakes go on at the same time. For one more the one ends that has
// waited longest for its peer; see [ErrCrowded].
func (h Handshakes) Listen(l net.Listener) net.Listener {
	s := &listener{Listener: l, Handshakes: h, accepted: make(chan accepted), crowd: newCrowd()}
	s.life, s.end = context.WithCancel(context.Background())
	go s.run()
	return s
}

// listener has a goroutine that accepts, until the listener is closed or breaks, and one for each
// handshake, until it is over and Accept has taken the connection.
type listener struct {
	net.Listener
	Handshakes
	accepted chan accepted
	crowd    *crowd

	life context.Context // ends with Close
	end  context.CancelFunc
}

// accepted is what Accept returns.
type accepted struct {
	nc  net.Conn
	err error
}

// Accept waits for the next connection whose handshake is over.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case a := <-l.accepted:
		return a.nc, a.err
	case <-l.life.Done():
		return nil, &net.OpError{Op: "accept", Net: l.Network, Addr: l.Addr(), Err: net.ErrClosed}
	}
}

// Close ends Accept and the handshakes under way; connections that were accepted stay.
func (l *listener) Close() error {
	l.end()
	return l.Listener.Close()
}

// run accepts connections. Each error goes to Accept, whose caller closes the listener
// when it is for good.
func (l *listener) run() {
	for l.life.Err() == nil {
		nc, err := l.Listener.Accept()
		if err != nil {
			l.deliver(accepted{nil, err})
			continue
		}
		w := l.crowd.enter(l.life, nc)
		if w == nil {
			nc.Close()
			return
		}
		go l.handshake(w)
	}
}

// deliver hands a to Accept; false when the listener was closed before.
func (l *listener) deliver(a accepted) bool {
	select {
	case l.accepted <- a:
		return true
	case <-l.life.Done():
		return false
	}
}

// handshake does the handshake of one connection.
func (l *listener) handshake(w *Watched) {
	defer l.crowd.leave(w)
	if !l.crowd.begin(w, time.Now().Add(l.Time)) {
		l.failed(w, ErrCrowded)
		return
	}
	interrupt := context.AfterFunc(l.life, func() { w.SetDeadline(time.Unix(1, 0)) })
	opened, err := l.Open(w)
	if !interrupt() {
		w.Close()
		return
	}
	if !l.crowd.done(w) {
		err = ErrCrowded
	}
	if err != nil {
		l.failed(w, err)
		return
	}
	w.SetDeadline(time.Time{})
	if !l.deliver(accepted{opened, nil}) {
		w.Close()
	}
}

func (l *listener) failed(w *Watched, err error) {
	w.Close()
	if l.Failed != nil {
		l.Failed(w.RemoteAddr(), err)
	}
}
