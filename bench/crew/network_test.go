package crew_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/bench/crew"
)

// cutter is a port that leads elsewhere, until its connections are cut.
type cutter struct {
	net.Listener
	to    string
	mu    sync.Mutex
	conns []net.Conn
	cuts  int // connections that were cut
	heard bytes.Buffer
}

// Write notes what goes through.
func (c *cutter) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.heard.Write(b)
}

func (c *cutter) hasHeard(text string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Contains(c.heard.Bytes(), []byte(text))
}

func newCutter(t *testing.T, to string) *cutter {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	c := &cutter{Listener: l, to: to}
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", c.to)
			if err != nil {
				near.Close()
				continue
			}
			c.mu.Lock()
			c.conns = append(c.conns, near, far)
			c.mu.Unlock()
			for _, pair := range [][2]net.Conn{{near, far}, {far, near}} {
				go func() {
					_, _ = io.Copy(io.MultiWriter(pair[0], c), pair[1])
					pair[0].Close()
				}()
			}
		}
	}()
	t.Cleanup(func() { l.Close(); c.cut() })
	return c
}

func (c *cutter) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		conn.Close()
		c.cuts++
	}
	c.conns = nil
}

// freeAddress is a port of this machine that was free a moment ago.
func freeAddress(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// The connections of both directions are cut again and again, while results go over them.
func TestConnectionsThatAreCutLoseNothingAndDoubleNothing(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	workers, _ := team(t, 2, workerOrders{})
	listen := freeAddress(t)
	home := newCutter(t, listen)
	ways := []*cutter{home, newCutter(t, workers[0].address), newCutter(t, workers[1].address)}
	c := conduct(t, []string{ways[1].Addr().String(), ways[2].Addr().String()}, constantJob(s.URL, 200, 3*time.Second),
		func(o *coordinatorOrders) {
			o.Listen, o.Advertise, o.Silence = listen, home.Addr().String(), 20*time.Second
		})
	eventually(t, 10*time.Second, func() bool { return s.count() > 20 }, "it runs")
	for i := range 4 {
		ways[i%3].cut()
		time.Sleep(300 * time.Millisecond)
	}
	run := c.run(t)
	for _, way := range ways {
		require.Positive(t, way.cuts)
	}
	require.Empty(t, run.End.Invalid, c.said())
	require.EqualValues(t, 600, run.Total[""].Count)
	require.EqualValues(t, 600, run.Total[""].Response.Count())
	s.requireEachOnce(t, 600)
	require.True(t, c.hasSaid("ended, trying again"), c.said())
}

// Who listens on the way hears no token, and with TLS nothing at all.
func TestWhatIsHeardOnTheWay(t *testing.T) {
	t.Parallel()
	folder := certificates(t)
	for _, folder := range []string{"", folder} {
		s := newServer(t)
		w := startWorker(t, workerOrders{Name: "m0", Token: token, Security: folder})
		listen := freeAddress(t)
		there, back := newCutter(t, w.address), newCutter(t, listen)
		c := conduct(t, []string{there.Addr().String()}, constantJob(s.URL, 50, 200*time.Millisecond), func(o *coordinatorOrders) {
			o.Listen, o.Advertise, o.Security = listen, back.Addr().String(), folder
		})
		require.Empty(t, c.run(t).End.Invalid)
		s.requireEachOnce(t, 10)
		require.False(t, there.hasHeard(token) || back.hasHeard(token))
		require.Equal(t, folder == "", there.hasHeard(`"probe"`), "letters")
		require.Equal(t, folder == "", back.hasHeard(`"reading"`), "answers")
	}
}

func TestOneThatEncryptsAndOneThatDoesNotDoNotMeet(t *testing.T) {
	t.Parallel()
	folder := certificates(t)
	for _, pair := range [][2]string{{folder, ""}, {"", folder}, {folder, certificates(t)}} {
		w := startWorker(t, workerOrders{Name: "m0", Token: token, Security: pair[0]})
		c := conduct(t, []string{w.address}, constantJob(nowhere, 50, time.Second), func(o *coordinatorOrders) { o.Security = pair[1] })
		require.Contains(t, c.refusal(t), "worker "+w.address+": ")
		require.NotContains(t, c.err, "\n")
		t.Log(c.err)
	}
}

// namespaces are machines of their own, as far as the network is concerned: each has a cable
// to one bridge, this process's namespace among them.
type namespaces struct {
	names    []string
	prefix   string // of addresses
	bridge   string
	t        *testing.T
	nextHost int
}

func newNamespaces(t *testing.T, n int) *namespaces {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("network namespaces are for root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("there is no ip command")
	}
	id := fmt.Sprintf("%x", os.Getpid())
	ns := &namespaces{prefix: fmt.Sprintf("10.213.%d.", os.Getpid()%250), bridge: "slc" + id, t: t, nextHost: 1}
	if out, err := exec.Command("ip", "netns", "add", ns.bridge).CombinedOutput(); err != nil {
		t.Skipf("the kernel makes no network namespace: %v: %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", ns.bridge).Run() })
	if out, err := exec.Command("ip", "-n", ns.bridge, "link", "add", "br0", "type", "bridge").CombinedOutput(); err != nil {
		t.Skipf("the kernel makes no bridge: %v: %s", err, out)
	}
	ns.ip("-n", ns.bridge, "link", "set", "br0", "up")
	ns.cable("", "slh"+id)
	for i := range n {
		name := fmt.Sprintf("slc%s-%d", id, i)
		ns.ip("netns", "add", name)
		t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", name).Run() })
		ns.names = append(ns.names, name)
		ns.ip("-n", name, "link", "set", "lo", "up")
		ns.cable(name, "eth0")
	}
	return ns
}

func (n *namespaces) ip(args ...string) {
	n.t.Helper()
	out, err := exec.Command("ip", args...).CombinedOutput()
	require.NoError(n.t, err, "ip %s: %s", strings.Join(args, " "), out)
}

// cable connects a namespace, or this one, by an interface of a name.
func (n *namespaces) cable(name, device string) {
	port := fmt.Sprintf("p%d", n.nextHost)
	address := n.host(n.nextHost)
	n.nextHost++
	in := []string{}
	if name != "" {
		in = []string{"-n", name}
	}
	n.ip(append(in, "link", "add", device, "type", "veth", "peer", "name", port, "netns", n.bridge)...)
	n.ip("-n", n.bridge, "link", "set", port, "master", "br0", "up")
	n.ip(append(in, "addr", "add", address+"/24", "dev", device)...)
	n.ip(append(in, "link", "set", device, "up")...)
}

func (n *namespaces) host(i int) string { return fmt.Sprintf("%s%d", n.prefix, i) }

// address of namespace i.
func (n *namespaces) address(i int) string { return n.host(i + 2) }

// plug puts namespace i's cable in or pulls it out.
func (n *namespaces) plug(i int, state string) {
	n.ip("-n", n.bridge, "link", "set", fmt.Sprintf("p%d", i+2), state)
}

func (n *namespaces) in(i int) []string { return []string{"ip", "netns", "exec", n.names[i]} }

// Two workers and a coordinator are machines on a network, and one is cut off.
func TestMachinesOnANetworkOneOfWhichIsCutOff(t *testing.T) {
	t.Parallel()
	ns := newNamespaces(t, 3)
	s := newServerAt(t, ns.host(1)+":0")
	workers := make([]*process, 2)
	addresses := make([]string, 2)
	for i := range workers {
		workers[i] = startWorker(t, workerOrders{Name: fmt.Sprintf("m%d", i), Token: token, Listen: "0.0.0.0:7070"}, ns.in(i)...)
		addresses[i] = ns.address(i) + ":7070"
	}
	begin := func(s *server, rate uint64, length time.Duration, policy crew.OnLost) *process {
		orders := coordinatorOrders{
			Workers: addresses, Token: token, Job: constantJob(s.URL, rate, length),
			ClockBound: clockBound, Silence: 3 * time.Second, OnLost: policy,
			Out: filepath.Join(t.TempDir(), "results.jsonl"),
		}
		c := start(t, role{Coordinator: &orders}, ns.in(2)...)
		c.out = orders.Out
		return c
	}

	run := begin(s, 200, 500*time.Millisecond, crew.Fail).run(t)
	require.Empty(t, run.End.Invalid)
	s.requireEachOnce(t, 100)

	s = newServerAt(t, ns.host(1)+":0")
	c := begin(s, 200, 3*time.Second, crew.Continue)
	eventually(t, 10*time.Second, func() bool { return s.count() > 50 }, "it runs")
	ns.plug(1, "down")
	run = c.run(t)
	require.Contains(t, strings.Join(run.End.Invalid, "\n"), "machine m1 ("+addresses[1]+") was lost: it has said nothing for ")
	require.EqualValues(t, 600, run.Total[""].Count, "nothing is missing")
	require.Positive(t, run.Total["(lost machine)"].Count)
	eventually(t, 4*time.Second, func() bool { return workers[1].hasSaid("nothing was heard of its coordinator for 3s") }, "who was cut off stops")
	for n := uint64(0); n < 600; n += 2 {
		require.Equal(t, 1, s.times(n), "the other went on")
	}

	ns.plug(1, "up")
	s = newServerAt(t, ns.host(1)+":0") // what was under way to the other may still arrive there
	eventually(t, 5*time.Second, func() bool {
		conn, err := net.DialTimeout("tcp", addresses[1], time.Second)
		if err == nil {
			conn.Close()
		}
		return err == nil
	}, "the cable is in again")
	c = begin(s, 200, 500*time.Millisecond, crew.Fail)
	for range 20 { // the requests that were cut off have a second to end
		if <-c.ended; !strings.Contains(c.err, "it is free in a moment") {
			break
		}
		time.Sleep(200 * time.Millisecond)
		c = begin(s, 200, 500*time.Millisecond, crew.Fail)
	}
	require.Empty(t, c.run(t).End.Invalid)
	s.requireEachOnce(t, 100)
}
