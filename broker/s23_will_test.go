package broker_test

import (
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/mqtest"
	"github.com/colibri-mqtt/colibri/packet"
)

// texts returns those of the PUBLISH packets that have come, and acknowledges nothing.
func texts(p *mqtest.Peer) (all []string) {
	for _, one := range p.Received() {
		if m, ok := one.(*packet.Publish); ok {
			all = append(all, string(m.Payload))
		}
	}
	return all
}

// firstFrames returns the log as a crash after so many frames leaves it.
func (l *keptLog) firstFrames(n int) *keptLog {
	l.mu.Lock()
	defer l.mu.Unlock()
	return &keptLog{frames: slices.Clone(l.frames[:n])}
}

func (l *keptLog) frameCount() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.frames)
}

// TestWillOverCrash shows that a Will Message is sent wherever a crash comes, unless the
// client has taken it back.
func TestWillOverCrash(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(p *mqtest.Peer)
	}{
		{"the Session expires [MQTT-3.1.2-8]", (*mqtest.Peer).Drop},
		{"DISCONNECT with Session Expiry Interval 0 [MQTT-3.1.2-8]", func(p *mqtest.Peer) {
			p.Send(&packet.Disconnect{Code: 0x04, Properties: number(colibri.SessionExpiryInterval, 0)})
		}},
	} {
		mqtest.Run(t, c.name, mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
			log := &keptLog{}
			scene.Use(mqtest.New(t, broker.Config{Log: log}))
			watcher := scene.Connect("watcher", resume)
			watcher.Send(subscribe(1, to("will", 1)))
			watcher.Expect(suback(1, 1))
			p := scene.Connect("client", property(colibri.SessionExpiryInterval, 60),
				will(with(qos1(0, "will", "x"), number(colibri.WillDelayInterval, 600))))
			first := log.frameCount()
			c.end(p)
			time.Sleep(100 * time.Second)
			if got := texts(watcher); len(got) != 1 {
				scene.Fatalf("got %v, want the Will Message", got)
			}
			last := log.frameCount()
			for n := first; n <= last; n++ {
				scene.Use(mqtest.New(t, broker.Config{Log: log.firstFrames(n)}))
				watcher = scene.Connect("watcher", resume)
				time.Sleep(700 * time.Second)
				if got := texts(watcher); len(got) == 0 {
					scene.Errorf("crash after frame %d of %d: the Will Message is lost", n, last)
				}
			}
		})
	}

	// The client comes back while its Will Message is being published: what the broker then
	// records of that one is not about the next.
	for _, c := range []struct {
		name  string
		delay uint32
		end   func(p *mqtest.Peer)
		want  bool // it is sent after the crash
	}{
		{"the Will Message of the next connection [MQTT-3.1.2-8]", 0, func(*mqtest.Peer) {}, true},
		{"the same after a delay [MQTT-3.1.3-9]", 2, func(*mqtest.Peer) {}, true},
		{"the next one is taken back [MQTT-3.1.2-10]", 0, (*mqtest.Peer).Disconnect, false},
		{"the same after a delay [MQTT-3.14.4-3]", 2, (*mqtest.Peer).Disconnect, false},
	} {
		mqtest.Run(t, c.name, mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
			log := &keptLog{}
			var meanwhile atomic.Pointer[func()]
			scene.Use(mqtest.New(t, broker.Config{Log: log, Events: func(e broker.Event) {
				if _, ok := e.(broker.Dropped); ok {
					if do := meanwhile.Swap(nil); do != nil {
						(*do)()
					}
				}
			}}))
			offline := scene.Connect("offline", resume)
			offline.Send(subscribe(1, to("will", 0)))
			offline.Expect(suback(1, 0))
			offline.Disconnect()
			watcher := scene.Connect("watcher", resume)
			watcher.Send(subscribe(1, to("will", 1)))
			watcher.Expect(suback(1, 1))
			p := scene.Connect("client", resume, will(with(qos1(0, "will", "first"), number(colibri.WillDelayInterval, c.delay))))
			next := scene.Dial()
			comes := func() { // it is being published
				next.Write(next.Encode(next.NewConnect("client", resume, will(qos1(0, "will", "second")))))
				for range 10_000 { // time stands still while somebody waits for a lock
					runtime.Gosched()
				}
			}
			meanwhile.Store(&comes)
			p.Drop()
			time.Sleep(time.Duration(c.delay)*time.Second + time.Second)
			if got := texts(watcher); !slices.Equal(got, []string{"first"}) {
				scene.Errorf("got %v, want the Will Message of the connection that was cut", got)
			}
			next.Received()
			c.end(next)
			scene.Use(mqtest.New(t, broker.Config{Log: log.crash(false)}))
			watcher = scene.Connect("watcher", resume)
			time.Sleep(10 * time.Second)
			if got := texts(watcher); slices.Contains(got, "second") != c.want {
				scene.Errorf("after the crash: got %v, want the second Will Message: %v", got, c.want)
			}
		})
	}
}

// TestWillAuthor shows that a delayed Will Message is published after a restart only if the
// rules of then let its author, and that one whose rights came with it was asked at CONNECT.
func TestWillAuthor(t *testing.T) {
	token := func(r *broker.ConnectRequest) error { r.Rights = "of a token"; return nil }
	for _, c := range []struct {
		name         string
		authenticate func(*broker.ConnectRequest) error
		user         string // who is forbidden to publish it, after the restart
		between      bool   // there is a checkpoint and a further restart before
		want         bool
	}{
		{"it may", nil, "other", false, true},
		{"it may no more", nil, "guest", false, false},
		{"it may no more, after a checkpoint", nil, "guest", true, false},
		{"nobody knows what it may", token, "guest", false, true},
	} {
		mqtest.Run(t, c.name, mqtest.V5, broker.Config{}, func(scene *mqtest.Scene) {
			log := &keptLog{}
			config := broker.Config{Log: log, Authorizer: forbid("nobody")}
			if c.authenticate != nil {
				config.Authenticator = authenticate(c.authenticate)
			}
			scene.Use(mqtest.New(t, config))
			watcher := scene.Connect("watcher", resume)
			watcher.Send(subscribe(1, to("will", 1)))
			watcher.Expect(suback(1, 1))
			p := scene.Connect("client", as("guest"), resume, will(with(qos1(0, "will", "x"), number(colibri.WillDelayInterval, 600))))
			p.Drop()
			time.Sleep(time.Second)
			if c.between {
				log = log.crash(false)
				scene.Use(mqtest.New(t, broker.Config{Log: log, CheckpointBytes: 1}))
				time.Sleep(10 * time.Second)
				if log.frameCount() == 0 {
					scene.Error("there was no checkpoint")
				}
			}
			var denied atomic.Int64
			scene.Use(mqtest.New(t, broker.Config{Log: log.crash(false), Authorizer: forbid(c.user, "publish will"), Events: func(e broker.Event) {
				if d, ok := e.(broker.Denied); ok && d.Client.UserName == "guest" && d.Client.ClientID == "client" {
					denied.Add(1)
				}
			}}))
			watcher = scene.Connect("watcher", resume)
			time.Sleep(700 * time.Second)
			if got := texts(watcher); (len(got) == 1) != c.want {
				scene.Errorf("got %v, want the Will Message: %v", got, c.want)
			}
			if got := scene.Broker.Stats().Dropped[broker.DropDenied]; (got == 1) == c.want || denied.Load() != got {
				scene.Errorf("%d are dropped as denied, with %d events", got, denied.Load())
			}
		})
	}
}
