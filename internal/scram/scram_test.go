package scram

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/colibri-mqtt/colibri"
)

// The exchange of RFC 7677 section 3.
const (
	vectorUser       = "user"
	vectorPassword   = "pencil"
	vectorIterations = 4096
	vectorSalt       = "W22ZaJ0SNY7soEsUEjb6gQ=="
	vectorNonce      = "rOprNGfwEbeRWgbNEkqO"
	vectorServer     = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"

	clientFirst = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
	serverFirst = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
	clientFinal = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
	serverFinal = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
)

// vectorServerWith returns the server of the RFC, with the user names given.
func vectorServerWith(t testing.TB, users ...string) *Server {
	t.Helper()
	salt, err := base64.StdEncoding.DecodeString(vectorSalt)
	if err != nil {
		t.Fatal(err)
	}
	credentials, err := derive(vectorPassword, salt, vectorIterations)
	if err != nil {
		t.Fatal(err)
	}
	s := NewServer(func(_ context.Context, userName string) (Credentials, bool, error) {
		for _, user := range users {
			if user == userName {
				return credentials, true, nil
			}
		}
		return Credentials{}, false, nil
	}, []byte("a secret for tests"), vectorIterations)
	s.nonce = func() string { return vectorServer }
	return s
}

func vectorClient(t testing.TB, userName, password string) *Client {
	t.Helper()
	c, err := NewClient(userName, password)
	if err != nil {
		t.Fatal(err)
	}
	c.nonce = func() string { return vectorNonce }
	return c
}

// TestVector walks both ends through the example of RFC 7677.
func TestVector(t *testing.T) {
	server := vectorServerWith(t, vectorUser).Begin()
	client := vectorClient(t, vectorUser, vectorPassword).Begin()
	step := func(name, want string) func(got []byte, err error) {
		return func(got []byte, err error) {
			t.Helper()
			if err != nil || string(got) != want {
				t.Fatalf("%s: got %q, %v, want %q", name, got, err, want)
			}
		}
	}
	step("client first", clientFirst)(client.Step(nil))
	answer, done, err := server.Step(t.Context(), []byte(clientFirst))
	step("server first", serverFirst)(answer, err)
	if done || server.UserName() != "" {
		t.Errorf("after the first message: got done %v, user %q, want neither", done, server.UserName())
	}
	step("client final", clientFinal)(client.Step([]byte(serverFirst)))
	answer, done, err = server.Step(t.Context(), []byte(clientFinal))
	step("server final", serverFinal)(answer, err)
	if !done || server.UserName() != vectorUser {
		t.Errorf("at the end: got done %v, user %q, want both", done, server.UserName())
	}
	if err := client.Finish([]byte(serverFinal)); err != nil {
		t.Errorf("Finish: %v", err)
	}
	if answer, done, err := server.Step(t.Context(), []byte(clientFinal)); err == nil || done || answer != nil {
		t.Errorf("a third message: got %q, %v, %v, want an error", answer, done, err)
	}
}

// exchange lets a client authenticate to a server and returns the errors of both.
func exchange(t *testing.T, s *Server, c *Client) (userName string, serverErr, clientErr error) {
	t.Helper()
	server, client := s.Begin(), c.Begin()
	var data []byte
	for {
		message, err := client.Step(data)
		if err != nil {
			return "", nil, err
		}
		answer, done, err := server.Step(t.Context(), message)
		if err != nil {
			return "", err, nil
		}
		if done {
			return server.UserName(), nil, client.Finish(answer)
		}
		data = answer
	}
}

// TestUserNames shows that names with the characters that SCRAM escapes, and those that
// SASLprep changes, arrive as one user.
func TestUserNames(t *testing.T) {
	for _, c := range []struct{ given, want string }{
		{"a,b=c", "a,b=c"},
		{"=2C", "=2C"},
		{"I\u00ADX", "IX"},
		{"\u2168", "IX"},
		{"élise", "élise"},
	} {
		s := vectorServerWith(t, c.want)
		s.nonce = nil
		got, serverErr, clientErr := exchange(t, s, vectorClient(t, c.given, vectorPassword))
		if got != c.want || serverErr != nil || clientErr != nil {
			t.Errorf("%q: got %q, %v, %v, want %q", c.given, got, serverErr, clientErr, c.want)
		}
	}
}

// TestRefused shows that a wrong password and an unknown user look alike until and after
// the end, and that the errors show nothing of the exchange.
func TestRefused(t *testing.T) {
	s := vectorServerWith(t, vectorUser)
	var texts []string
	for _, c := range []struct{ user, password string }{{vectorUser, "wrong"}, {"nobody", vectorPassword}, {"nobody", "wrong"}} {
		_, err, clientErr := exchange(t, s, vectorClient(t, c.user, c.password))
		if !errors.Is(err, colibri.NotAuthorized) || clientErr != nil {
			t.Fatalf("%s with %s: got %v, %v, want NotAuthorized from the server", c.user, c.password, err, clientErr)
		}
		texts = append(texts, err.Error())
	}
	if texts[0] != texts[1] || texts[1] != texts[2] {
		t.Errorf("the errors differ: %q", texts)
	}
	first := func(s *Server, user string) string {
		answer, _, err := s.Begin().Step(t.Context(), []byte("n,,n="+user+",r=abc"))
		if err != nil {
			t.Fatalf("%s: %v", user, err)
		}
		return string(answer)
	}
	again := vectorServerWith(t, vectorUser) // as after a restart
	if one, two := first(s, "nobody"), first(again, "nobody"); one != two {
		t.Errorf("an unknown user gets %q, then %q: want the same", one, two)
	}
	if one, two := first(s, "nobody"), first(s, "somebody"); one == two {
		t.Errorf("two unknown users get the same salt: %q", one)
	}
	if one, two := first(s, "nobody"), first(s, vectorUser); len(one) != len(two) || !strings.HasSuffix(one, ",i=4096") {
		t.Errorf("an unknown user gets %q, a known one %q: want the same form", one, two)
	}
}

// TestServerRefuses shows which messages of a client are refused and how. No error may
// repeat what was sent.
func TestServerRefuses(t *testing.T) {
	swap := func(old, new string) string { return strings.Replace(clientFinal, old, new, 1) }
	for _, c := range []struct{ name, first, final, want string }{
		{"nothing", "", "", "empty"},
		{"not text", "n,,n=\xff,r=a", "", "not text"},
		{"a control character", "n,,n=a\nb,r=a", "", "not text"},
		{"too long", "n,,n=" + strings.Repeat("a", messageBytes) + ",r=a", "", "bytes"},
		{"too few fields", "n,,n=user", "", "malformed"},
		{"no flag", ",,n=user,r=abc", "", "malformed"},
		{"no user name", "n,,n=,r=abc", "", "user name is malformed"},
		{"a user name that SASLprep prohibits", "n,,n=\uE000,r=abc", "", "user name is malformed"},
		{"a bad escape", "n,,n=us=er,r=abc", "", "user name is malformed"},
		{"no nonce", "n,,n=user,r=", "", "nonce is empty"},
		{"channel binding", "p=tls-exporter,,n=user,r=abc", "", "channel binding is not supported"},
		{"unknown channel binding", "p=none,,n=user,r=abc", "", "channel binding is not supported"},
		{"a mandatory extension", "n,,m=x,n=user,r=abc", "", "extension"},
		{"for another user", "n,a=root,n=user,r=abc", "", "another user"},
		{"final empty", clientFirst, "", "empty"},
		{"final malformed", clientFirst, "c=biws", "malformed"},
		{"final with another nonce", clientFirst, swap("r=r", "r=x"), "malformed"},
		{"final with another binding", clientFirst, swap("biws", "eSws"), "channel binding differs"},
		{"final with another proof", clientFirst, swap("p=dH", "p=eH"), "wrong user name or password"},
		{"final with a short proof", clientFirst, swap("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", "dHzb"), "malformed"},
		{"final without proof", clientFirst, swap(",p=", ",q="), "malformed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := vectorServerWith(t, vectorUser).Begin()
			answer, done, err := e.Step(t.Context(), []byte(c.first))
			if err == nil && c.first == clientFirst {
				answer, done, err = e.Step(t.Context(), []byte(c.final))
			}
			if !errors.Is(err, colibri.NotAuthorized) || !strings.Contains(err.Error(), c.want) || answer != nil || done {
				t.Fatalf("got %q, %v, %v, want an error with %q", answer, done, err, c.want)
			}
			for _, secret := range []string{vectorNonce, "dHzb", "root", "abc"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the error shows %q: %v", secret, err)
				}
			}
			if e.UserName() != "" {
				t.Errorf("UserName: got %q, want none", e.UserName())
			}
			for _, more := range []string{clientFirst, clientFinal} {
				if _, done, err := e.Step(t.Context(), []byte(more)); err == nil || done {
					t.Errorf("after the error %q is taken", more)
				}
			}
		})
	}
	t.Run("the look-up fails", func(t *testing.T) {
		s := NewServer(func(context.Context, string) (Credentials, bool, error) {
			return Credentials{}, false, errors.New("no disk")
		}, nil, 0)
		if _, _, err := s.Begin().Step(t.Context(), []byte(clientFirst)); !errors.Is(err, colibri.ServerUnavailable) {
			t.Errorf("got %v, want ServerUnavailable", err)
		}
	})
	t.Run("incomplete credentials", func(t *testing.T) {
		s := NewServer(func(context.Context, string) (Credentials, bool, error) {
			return Credentials{Salt: []byte("s"), Iterations: 4096}, true, nil
		}, nil, 0)
		if _, _, err := s.Begin().Step(t.Context(), []byte(clientFirst)); !errors.Is(err, colibri.ServerUnavailable) {
			t.Errorf("got %v, want ServerUnavailable", err)
		}
	})
}

// TestClientRefuses shows which messages of a server end the exchange.
func TestClientRefuses(t *testing.T) {
	for _, c := range []struct{ name, first, final, want string }{
		{"nothing", "", "", "empty"},
		{"malformed", "r=" + vectorNonce + "x", "", "malformed"},
		{"another nonce", strings.Replace(serverFirst, "r=r", "r=x", 1), "", "nonce"},
		{"too few iterations", strings.Replace(serverFirst, "4096", "4095", 1), "", "iterations"},
		{"too many iterations", strings.Replace(serverFirst, "4096", "2000001", 1), "", "iterations"},
		{"more than a number holds", strings.Replace(serverFirst, "4096", "99999999999999999999", 1), "", "iterations"},
		{"no proof", serverFirst, "", "not proven"},
		{"another proof", serverFirst, strings.Replace(serverFinal, "v=6", "v=7", 1), "not proven"},
		{"an error", serverFirst, "e=other-error", "not proven"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := vectorClient(t, vectorUser, vectorPassword).Begin()
			if _, err := e.Step(nil); err != nil {
				t.Fatal(err)
			}
			_, err := e.Step([]byte(c.first))
			if err == nil && c.first == serverFirst {
				err = e.Finish([]byte(c.final))
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want an error with %q", err, c.want)
			}
			for _, secret := range []string{vectorPassword, vectorNonce, vectorUser + ","} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the error shows %q: %v", secret, err)
				}
			}
		})
	}
	t.Run("the end comes too early", func(t *testing.T) {
		e := vectorClient(t, vectorUser, vectorPassword).Begin()
		if _, err := e.Step(nil); err != nil {
			t.Fatal(err)
		}
		if err := e.Finish([]byte(serverFirst)); err == nil {
			t.Error("got no error")
		}
	})
	t.Run("a third question", func(t *testing.T) {
		e := vectorClient(t, vectorUser, vectorPassword).Begin()
		for _, data := range []string{"", serverFirst} {
			if _, err := e.Step([]byte(data)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := e.Step([]byte(serverFirst)); err == nil {
			t.Error("got no error")
		}
	})
}

// TestCredentials shows what a password is turned into.
func TestCredentials(t *testing.T) {
	one, err := NewCredentials(vectorPassword, 0)
	if err != nil || one.Iterations != DefaultIterations || len(one.Salt) != saltBytes || !one.valid() {
		t.Errorf("got %+v, %v", one, err)
	}
	two, err := NewCredentials(vectorPassword, MinIterations)
	if err != nil || bytes.Equal(one.Salt, two.Salt) {
		t.Errorf("the salts: got %x, %x, %v, want different ones", one.Salt, two.Salt, err)
	}
	for _, c := range []struct {
		password   string
		iterations int
	}{{"", 0}, {"secret", 4095}, {"secret", MaxIterations + 1}, {"secret", -1}, {"secret\x07", 0}} {
		if got, err := NewCredentials(c.password, c.iterations); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q with %d: got %v, %v, want an error without the password", c.password, c.iterations, got, err)
		}
	}
	for _, c := range []struct{ user, password string }{{"", "secret"}, {"user", ""}, {"us\x07er", "secret"}, {"user", "secret\x07"}} {
		if _, err := NewClient(c.user, c.password); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("NewClient(%q, %q): got %v, want an error without the password", c.user, c.password, err)
		}
	}
}

// TestClientForgets shows that a server which names ever new salts fills no memory.
func TestClientForgets(t *testing.T) {
	c := vectorClient(t, vectorUser, vectorPassword)
	before := c.library
	for range rememberExchanges {
		c.Begin()
	}
	if c.library != before {
		t.Error("the computed keys are forgotten too early")
	}
	c.Begin()
	if c.library == before || c.begun != 1 {
		t.Error("the computed keys are never forgotten")
	}
}

// FuzzServer hands a server what strangers send: it must not panic, and nobody comes
// in without the proof.
func FuzzServer(f *testing.F) {
	for _, seed := range [][2]string{
		{clientFirst, clientFinal}, {"y,a=user,n=user,r=a", "c=eSxhPXVzZXIs,r=a,p="}, {"p=tls-unique,,n=u,r=a", ""}, {"n,,n=a=2Cb,r=x,e=y", "c=biws,r=x,m=1,p=AA=="},
	} {
		f.Add([]byte(seed[0]), []byte(seed[1]))
	}
	s := vectorServerWith(f, vectorUser)
	f.Fuzz(func(t *testing.T, first, final []byte) {
		e := s.Begin()
		answer, done, err := e.Step(t.Context(), first)
		if done || (err == nil) != (len(answer) > 0) {
			t.Fatalf("first: got %q, %v, %v", answer, done, err)
		}
		if err != nil {
			return
		}
		if _, done, err = e.Step(t.Context(), final); done != (err == nil) || done && string(final) != clientFinal {
			t.Fatalf("%s: got %v, %v", hex.EncodeToString(final), done, err)
		}
	})
}

// FuzzClient hands a client what servers may send; few iterations keep it fast.
func FuzzClient(f *testing.F) {
	f.Add([]byte(serverFirst), []byte(serverFinal))
	f.Add([]byte("r="+vectorNonce+",s=,i=4096"), []byte("e=x"))
	f.Fuzz(func(t *testing.T, first, final []byte) {
		if fields := strings.Split(string(first), ","); len(fields) > 2 && len(fields[2]) > len("i=9999") {
			return
		}
		e := vectorClient(t, vectorUser, vectorPassword).Begin()
		if _, err := e.Step(nil); err != nil {
			t.Fatal(err)
		}
		if _, err := e.Step(first); err != nil {
			return
		}
		if err := e.Finish(final); err == nil && string(first) == serverFirst && !strings.HasPrefix(string(final), serverFinal) {
			t.Fatalf("the server passes with %q", final)
		}
	})
}

func ExampleNewCredentials() {
	c, err := NewCredentials("correct horse", MinIterations)
	fmt.Println(c.Iterations, len(c.StoredKey), err)
	// Output: 4096 32 <nil>
}
