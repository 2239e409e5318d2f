package scram

import "testing"

// BenchmarkCredentials is what a new salt costs a client with the default iterations.
func BenchmarkCredentials(b *testing.B) {
	for b.Loop() {
		if _, err := NewCredentials(vectorPassword, 0); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkServer is the server's share of an exchange.
func BenchmarkServer(b *testing.B) {
	s := vectorServerWith(b, vectorUser)
	for b.Loop() {
		e := s.Begin()
		for _, message := range []string{clientFirst, clientFinal} {
			if _, _, err := e.Step(b.Context(), []byte(message)); err != nil {
				b.Fatal(err)
			}
		}
	}
}
