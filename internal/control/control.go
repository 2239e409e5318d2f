// Package control lets programs of this machine ask a broker that runs, over a Unix socket:
// what it has seen, what it would do, what passes. Questions and answers are HTTP, so that
// any tool can ask too, such as curl --unix-socket; nothing of it is ever on a network.
//
// Who may open the socket may ask everything. It has mode 0600, so that is the user of the
// broker, and root.
package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/colibri-mqtt/colibri/internal/transport"
)

const (
	// maxAskers is how many may ask at once. Who comes beyond hears a sentence.
	maxAskers = 32
	// askTime is how long an asker may take to ask, and how long it may leave a part of the
	// answer untaken.
	askTime = 10 * time.Second
	// maxFault is how much is read of a sentence that says why there is no answer, in bytes.
	maxFault = 4 << 10
	// endTime is how long answers may take to end when the Server is closed.
	endTime = time.Second
	// dialTime is how long a broker may take to accept.
	dialTime = 5 * time.Second
)

// UnknownQuestion is what an asker hears whose question a broker does not know.
const UnknownQuestion = "this broker does not know the question: take the program of the version that the broker has"

// Handler answers a question. It writes the answer to w; every Write leaves at once, and
// fails, as ctx is done, when the asker has gone or the Server was closed. An error before the
// first Write is told to the asker, as a sentence; after it, the answer breaks off.
// Handlers are called concurrently.
type Handler func(ctx context.Context, ask url.Values, w io.Writer) error

// Server answers questions. Handle is not for use beside Serve.
type Server struct {
	listener net.Listener
	http     http.Server
	mux      *http.ServeMux
	ctx      context.Context
	end      context.CancelFunc
	places   chan struct{}
	asked    sync.WaitGroup
}

// Listen opens the socket with this absolute path for the user of this process. A socket that
// a process has left there which has ended is taken over; an error says what else is in the
// way. The caller calls Serve, and Close.
func Listen(path string) (*Server, error) {
	l, err := transport.Listen((&url.URL{Scheme: "unix", Path: path}).String(), transport.Options{SocketMode: 0o600})
	if err != nil {
		return nil, err
	}
	s := &Server{listener: l, mux: http.NewServeMux(), places: make(chan struct{}, maxAskers)}
	s.ctx, s.end = context.WithCancel(context.Background())
	s.http = http.Server{
		Handler:           http.HandlerFunc(s.serve),
		BaseContext:       func(net.Listener) context.Context { return s.ctx },
		ReadHeaderTimeout: askTime,
		IdleTimeout:       askTime,
		MaxHeaderBytes:    64 << 10,
	}
	s.http.SetKeepAlivesEnabled(false)
	return s, nil
}

// Handle has h answer the questions called name.
func (s *Server) Handle(name string, h Handler) {
	s.mux.HandleFunc("GET /"+name, func(w http.ResponseWriter, r *http.Request) {
		out := &answer{to: w, control: http.NewResponseController(w)}
		err := h(r.Context(), r.URL.Query(), out)
		switch {
		case err == nil:
		case out.began:
			panic(http.ErrAbortHandler) // so that the asker sees that it is not the end
		default:
			http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		}
	})
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	select {
	case s.places <- struct{}{}:
		defer func() { <-s.places }()
	default:
		http.Error(w, fmt.Sprintf("%d others ask the broker already: end one, or try again", maxAskers), http.StatusServiceUnavailable)
		return
	}
	s.asked.Add(1)
	defer s.asked.Done()
	if _, pattern := s.mux.Handler(r); pattern == "" {
		http.Error(w, UnknownQuestion, http.StatusNotFound)
		return
	}
	s.mux.ServeHTTP(w, r)
}

// answer is what a Handler writes to.
type answer struct {
	to      io.Writer
	control *http.ResponseController
	began   bool
}

func (a *answer) Write(b []byte) (int, error) {
	a.began = true
	a.control.SetWriteDeadline(time.Now().Add(askTime))
	n, err := a.to.Write(b)
	if err != nil {
		return n, err
	}
	return n, a.control.Flush()
}

// Serve answers until Close. It is called once.
func (s *Server) Serve() {
	s.http.Serve(s.listener)
}

// Close ends all answers, removes the socket and returns when no Handler runs any more. It
// may be called without Serve.
func (s *Server) Close() {
	s.end()
	s.listener.Close()
	ctx, cancel := context.WithTimeout(context.Background(), endTime)
	defer cancel()
	s.http.Shutdown(ctx) // so that answers that end leave whole
	s.http.Close()
	s.asked.Wait()
}

// Absent says that no broker answers at Path.
type Absent struct {
	Path string
	Err  error
}

func (e *Absent) Error() string { return fmt.Sprintf("no broker answers at %s: %v", e.Path, e.Err) }
func (e *Absent) Unwrap() error { return e.Err }

// Refused is the sentence with which a broker has refused to answer.
type Refused struct{ Text string }

func (e *Refused) Error() string { return e.Text }

// Ask puts the question called name to the broker with the socket at path, and returns the
// answer, which comes until the caller closes it, ctx is done or it ends. io.ErrUnexpectedEOF
// is an answer that broke off. An error is an *Absent, a *Refused or that of ctx.
func Ask(ctx context.Context, path, name string, ask url.Values) (io.ReadCloser, error) {
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: dialTime}).DialContext(ctx, "unix", path)
		},
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://broker/"+name+"?"+ask.Encode(), nil)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, &Absent{Path: path, Err: plain(err)}
	}
	if response.StatusCode == http.StatusOK {
		return response.Body, nil
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxFault))
	if err != nil {
		return nil, &Absent{Path: path, Err: plain(err)}
	}
	return nil, &Refused{Text: strings.TrimSpace(string(text))}
}

// plain returns what err says without the names of the calls.
func plain(err error) error {
	switch {
	case errors.Is(err, os.ErrNotExist):
		return errors.New("there is no such socket")
	case errors.Is(err, os.ErrPermission):
		return errors.New("this user may not open the socket: ask as the user of the broker, or as root")
	case errors.Is(err, syscall.ECONNREFUSED):
		return errors.New("the broker that has made the socket has ended")
	}
	if wrong, ok := errors.AsType[*url.Error](err); ok {
		return wrong.Err
	}
	return err
}

// AskJSON is Ask for an answer that is one JSON value, which is put into into.
func AskJSON(ctx context.Context, path, name string, ask url.Values, into any) error {
	answer, err := Ask(ctx, path, name, ask)
	if err != nil {
		return err
	}
	defer answer.Close()
	if err := json.NewDecoder(answer).Decode(into); err != nil {
		return &Absent{Path: path, Err: fmt.Errorf("the answer broke off: %w", err)}
	}
	return nil
}
