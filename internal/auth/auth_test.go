package auth

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/colibri-mqtt/colibri/broker"
)

// answer is a Checker that always says the same.
type answer struct {
	v   Verdict
	err error
}

func (answer) Name() string { return "a test" }

func (a answer) Check(context.Context, *broker.ConnectRequest) (Verdict, error) { return a.v, a.err }

func TestChain(t *testing.T) {
	down := errors.New("the directory does not answer")
	tests := []struct {
		name      string
		checkers  []Checker
		anonymous bool
		user      bool
		want      string // part of the error; empty: let in
	}{
		{"nobody to ask", nil, false, false, "without a User Name"},
		{"nobody to ask about a user", nil, false, true, "no user is known"},
		{"everybody is let in", nil, true, true, ""},
		{"the first allows", []Checker{answer{Allow, nil}, answer{Deny, nil}}, false, true, ""},
		{"the first denies", []Checker{answer{Deny, nil}, answer{Allow, nil}}, false, true, "does not know this User Name"},
		{"the first denies and says why", []Checker{answer{Deny, errors.New("expired")}}, true, false, "expired"},
		{"the second allows", []Checker{answer{Pass, nil}, answer{Allow, nil}}, false, true, ""},
		{"a fault does not stop the second", []Checker{answer{Pass, down}, answer{Allow, nil}}, false, true, ""},
		{"nobody knows the user", []Checker{answer{Pass, nil}}, true, true, "does not know this User Name"},
		{"nobody knows the anonymous", []Checker{answer{Pass, nil}}, true, false, ""},
		{"no anonymous", []Checker{answer{Pass, nil}}, false, false, "without a User Name"},
		{"a fault lets nobody in", []Checker{answer{Pass, down}, answer{Pass, nil}}, true, false, down.Error()},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			chain := &Chain{Checkers: tt.checkers, Anonymous: tt.anonymous}
			err := chain.Authenticate(t.Context(), &broker.ConnectRequest{HasUserName: tt.user})
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("got %v, want the client let in", err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("got %v, want a refusal with %q", err, tt.want)
			}
		})
	}
}
