package transport

import (
	"context"
	"net"
	"time"
)

const (
	// handshakeTime is how long a client may take for the handshake of a listener.
	handshakeTime = 10 * time.Second
	// handshakes is how many clients of a listener may be at that. More wait in
	// the queue of the kernel.
	handshakes = 1024
)

// handshakeListener is a listener whose connections begin with a handshake. It has a goroutine
// that accepts, until the listener is closed or breaks, and one for each handshake, until it
// is over and Accept has taken the connection.
type handshakeListener struct {
	net.Listener
	network string // for errors
	// open does the handshake on nc, which has a deadline, and returns the connection to be
	// accepted. After an error nc is closed, and refused is told.
	open     func(nc net.Conn) (net.Conn, error)
	refused  func(remote net.Addr, err error) // may be nil
	accepted chan accepted
	slots    chan struct{} // holds one for each handshake

	life context.Context // ends with Close
	end  context.CancelFunc
}

// listenHandshake returns a listener over l, which it takes over.
func listenHandshake(l net.Listener, network string, open func(net.Conn) (net.Conn, error), refused func(net.Addr, error)) *handshakeListener {
	h := &handshakeListener{Listener: l, network: network, open: open, refused: refused,
		accepted: make(chan accepted), slots: make(chan struct{}, handshakes)}
	h.life, h.end = context.WithCancel(context.Background())
	go h.run()
	return h
}

// accepted is what Accept returns.
type accepted struct {
	nc  net.Conn
	err error
}

// Accept waits for the next connection whose handshake is over.
func (l *handshakeListener) Accept() (net.Conn, error) {
	select {
	case a := <-l.accepted:
		return a.nc, a.err
	case <-l.life.Done():
		return nil, &net.OpError{Op: "accept", Net: l.network, Addr: l.Addr(), Err: net.ErrClosed}
	}
}

// Close ends Accept and the handshakes under way; connections that were accepted stay.
func (l *handshakeListener) Close() error {
	l.end()
	return l.Listener.Close()
}

// run accepts connections. Each error goes to Accept, whose caller closes the listener
// when it is for good.
func (l *handshakeListener) run() {
	for l.life.Err() == nil {
		nc, err := l.Listener.Accept()
		if err != nil {
			l.deliver(accepted{nil, err})
			continue
		}
		select {
		case l.slots <- struct{}{}:
			go l.handshake(nc)
		case <-l.life.Done():
			nc.Close()
		}
	}
}

// deliver hands a to Accept; false when the listener was closed before.
func (l *handshakeListener) deliver(a accepted) bool {
	select {
	case l.accepted <- a:
		return true
	case <-l.life.Done():
		return false
	}
}

// handshake does the handshake of one connection.
func (l *handshakeListener) handshake(nc net.Conn) {
	defer func() { <-l.slots }()
	nc.SetDeadline(time.Now().Add(handshakeTime))
	interrupt := context.AfterFunc(l.life, func() { nc.SetDeadline(time.Unix(1, 0)) })
	opened, err := l.open(nc)
	if !interrupt() {
		nc.Close()
		return
	}
	if err != nil {
		nc.Close()
		if l.refused != nil {
			l.refused(nc.RemoteAddr(), err)
		}
		return
	}
	nc.SetDeadline(time.Time{})
	if !l.deliver(accepted{opened, nil}) {
		nc.Close()
	}
}
