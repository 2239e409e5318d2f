package broker_test

import (
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/mqtest"
	"github.com/colibri-mqtt/colibri/packet"
)

// TestMayUnsubscribe shows that a Subscription stands which its client may not end, and who
// hears of that.
func TestMayUnsubscribe(t *testing.T) {
	var events []broker.Denied
	rules := forbid("guest", "unsubscribe alarm/#", "odd odd")
	config := broker.Config{Authorizer: rules, Events: func(e broker.Event) {
		if d, ok := e.(broker.Denied); ok {
			events = append(events, d)
		}
	}}
	mqtest.Run(t, "denied", mqtest.All, config, func(scene *mqtest.Scene) {
		events = nil
		guest := scene.Connect("guest", as("guest"))
		guest.Send(subscribe(1, to("alarm/a", 0), to("house", 0), to("odd", 0)))
		guest.Expect(suback(1, 0, 0, 0))
		guest.Send(unsubscribe(2, "house", "alarm/a", "alarm/none", "odd"))
		answer := unsuback(scene.Version, 2, 0, colibri.NotAuthorized, colibri.NotAuthorized, colibri.UnspecifiedError)
		if scene.Version == v5 {
			answer.(*packet.Unsuback).Properties = colibri.Properties{{ID: colibri.ReasonString, Value: "Topic Filter 2: this client may not unsubscribe from this filter"}}
		}
		guest.Expect(answer)
		p := scene.Connect("p")
		p.Send(qos0("house", "1"), qos0("alarm/a", "2"))
		guest.Expect(qos0("alarm/a", "2"))
		synctest.Wait()
		var got []string
		for _, e := range events {
			got = append(got, e.Client.UserName+" "+e.Action.String()+" "+e.Topic)
		}
		if diff := cmp.Diff([]string{"guest unsubscribe alarm/a", "guest unsubscribe alarm/none", "guest unsubscribe odd"}, got); diff != "" {
			scene.Errorf("Denied (-want +got):\n%s", diff)
		}
		if n := scene.Broker.Stats().Denied; n[broker.ActionUnsubscribe] != 3 || len(n) != 1 {
			scene.Errorf("counted %v, want 3 times unsubscribe", n)
		}
		owner := scene.Connect("owner", as("owner"))
		owner.Send(unsubscribe(3, "alarm/a"))
		owner.Expect(unsuback(scene.Version, 3, colibri.NoSubscriptionExisted))
	})
}
