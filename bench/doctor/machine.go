package doctor

import (
	"io/fs"
	"path"

	"github.com/sluice-engine/sluice/bench/results"
)

// machine is what the system says of itself. What it does not say is nil.
type machine struct {
	cpus, procs int
	quota       *quota
	load        *float64
	governor    string // empty is unknown
	files       *uint64
	ports       *portRange
	timeWait    *int
	backlog     *int
}

// portRange are the ports that connections get to leave from, both ends included.
type portRange struct{ first, last int }

func (p portRange) count() int { return p.last - p.first + 1 }

// quota is how much processor time a control group grants.
type quota struct {
	limited bool
	cpus    float64
}

func readMachine(system fs.FS, e results.Environment) machine {
	m := machine{cpus: e.CPUs, procs: e.Procs, governor: e.Governor}
	m.load = told(loadIn(fileIn(system, "proc/loadavg")))
	m.ports = told(portsIn(fileIn(system, "proc/sys/net/ipv4/ip_local_port_range")))
	m.timeWait = told(timeWaitIn(fileIn(system, "proc/net/sockstat")))
	m.backlog = told(countIn(fileIn(system, "proc/sys/net/core/somaxconn")))
	m.files = told(fileLimit())
	m.quota = told(readQuota(system))
	return m
}

// told makes a nil of what was not told.
func told[T any](value T, ok bool) *T {
	if !ok {
		return nil
	}
	return &value
}

// fileIn is what a file says; empty where there is none.
func fileIn(system fs.FS, name string) string {
	raw, err := fs.ReadFile(system, name)
	if err != nil {
		return ""
	}
	return string(raw)
}

// readQuota takes the tightest of the quotas of this process's control group and of all above
// it, of either version. None of them that says anything is unknown.
func readQuota(system fs.FS) (tightest quota, ok bool) {
	groups := fileIn(system, "proc/self/cgroup")
	for _, v := range []struct {
		root, group string
		read        func(folder string) (quota, bool)
	}{
		{"sys/fs/cgroup", groupIn(groups, ""), func(folder string) (quota, bool) {
			return quotaIn(fileIn(system, folder+"/cpu.max"))
		}},
		{"sys/fs/cgroup/cpu", groupIn(groups, "cpu"), func(folder string) (quota, bool) {
			return oldQuotaIn(fileIn(system, folder+"/cpu.cfs_quota_us"), fileIn(system, folder+"/cpu.cfs_period_us"))
		}},
	} {
		for group := path.Clean("/" + v.group); ; group = path.Dir(group) {
			if q, said := v.read(path.Join(v.root, group)); said {
				if !ok || q.limited && (!tightest.limited || q.cpus < tightest.cpus) {
					tightest = q
				}
				ok = true
			}
			if group == "/" {
				break
			}
		}
	}
	return tightest, ok
}
