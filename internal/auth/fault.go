package auth

import (
	"context"
	"errors"
	"net"
	"net/url"

	"github.com/colibri-mqtt/colibri"
)

// Fault is an error of a Checker itself, such as a server that does not answer. Its text is
// for the log: a client is told no more than the code. It holds no secret.
type Fault struct {
	Code colibri.ReasonCode // ServerUnavailable where nothing else fits
	Text string
}

// Error returns the text.
func (f *Fault) Error() string { return f.Text }

// Unwrap returns the code, so that the broker finds it.
func (f *Fault) Unwrap() error { return f.Code }

// Unavailable returns the Fault for a server that has not answered as it should. place
// names the server, without anything secret.
func Unavailable(place, why string) *Fault {
	return &Fault{Code: colibri.ServerUnavailable, Text: place + " cannot be asked: " + why}
}

// Cause says why a question to another server has failed. It leaves out the URL that
// errors of net/http hold, because users and keys may stand in it.
func Cause(err error) string {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err
	}
	timed, ok := errors.AsType[net.Error](err)
	switch {
	case errors.Is(err, context.Canceled):
		return "the client has gone meanwhile"
	case errors.Is(err, context.DeadlineExceeded), ok && timed.Timeout():
		return "there was no answer in time"
	}
	return err.Error()
}

// Place names a server as a person may see it: scheme and host, without user and path.
func Place(u *url.URL) string { return u.Scheme + "://" + u.Host }
