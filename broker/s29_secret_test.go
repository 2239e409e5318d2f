package broker_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/mqtest"
	"github.com/colibri-mqtt/colibri/packet"
)

// TestSecretUserNames: a token in place of a User Name is in no event, also when its client is
// refused before anybody has looked at it.
func TestSecretUserNames(t *testing.T) {
	for _, secret := range []bool{true, false} {
		var mu sync.Mutex
		var events []string
		config := broker.Config{SecretUserNames: secret, Limits: broker.Limits{Connections: 1}, Events: func(e broker.Event) {
			mu.Lock()
			defer mu.Unlock()
			events = append(events, fmt.Sprintf("%T %+v", e, e))
		}}
		mqtest.Run(t, fmt.Sprint(secret), mqtest.V5, config, func(scene *mqtest.Scene) {
			scene.Connect("first")
			p := scene.Dial()
			p.Send(&packet.Connect{Version: colibri.V5, ClientID: "second", CleanStart: true, HasUserName: true, UserName: "the-token"})
			p.ExpectClosed(&packet.Connack{Code: colibri.QuotaExceeded, Properties: why("CONNECT: this Server has as many connections as it may have")})
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			all := strings.Join(events, "\n")
			if !strings.Contains(all, "broker.Refused {Client:{ClientID:second") {
				scene.Errorf("the refusal is no event:\n%s", all)
			}
			if shown := strings.Contains(all, "the-token"); shown == secret {
				scene.Errorf("shown: %v\n%s", shown, all)
			}
		})
	}
}
