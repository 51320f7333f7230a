package doctor

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/bench/results"
)

func TestFilesOfTheKernelAreReadAsItWritesThem(t *testing.T) {
	load, ok := loadIn("9.73 10.90 8.43 4/234 19987\n")
	require.True(t, ok)
	require.Equal(t, 9.73, load)
	ports, ok := portsIn("32768\t60999\n")
	require.True(t, ok)
	require.Equal(t, 28232, ports.count())
	waiting, ok := timeWaitIn("sockets: used 523\nTCP: inuse 502 orphan 0 tw 152 alloc 502 mem 0\nUDP: inuse 0 mem 0\n")
	require.True(t, ok)
	require.Equal(t, 152, waiting)
	n, ok := countIn("4096\n")
	require.True(t, ok)
	require.Equal(t, 4096, n)
}

func TestWhatIsNotAsTheKernelWritesItIsNotTold(t *testing.T) {
	for _, text := range []string{"", "\n", "x", "-1", "NaN", "1e999", "Inf 1 2"} {
		_, ok := loadIn(text)
		require.False(t, ok, text)
	}
	for _, text := range []string{"", "1", "x 2", "0 5", "9 5", "1 65536", "1 2 3"} {
		_, ok := portsIn(text)
		require.False(t, ok, text)
	}
	for _, text := range []string{"", "TCP:", "TCP: tw", "TCP: inuse 3", "TCP: tw x", "UDP: tw 3"} {
		_, ok := timeWaitIn(text)
		require.False(t, ok, text)
	}
	for _, text := range []string{"", "max", "max x", "0 100000", "1 0", "-1 100000", "1 2 3"} {
		_, ok := quotaIn(text)
		require.False(t, ok, text)
	}
	for _, text := range []string{"", "0", "x", "-2"} {
		_, ok := oldQuotaIn(text, "100000")
		require.False(t, ok, text)
	}
}

func file(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }

func TestTheTightestQuotaOfAllControlGroupsAboveCounts(t *testing.T) {
	for name, c := range map[string]struct {
		files fstest.MapFS
		want  *quota
	}{
		"none is told": {fstest.MapFS{}, nil},
		"none":         {fstest.MapFS{"sys/fs/cgroup/cpu.max": file("max 100000\n")}, &quota{}},
		"of the group": {fstest.MapFS{
			"proc/self/cgroup":          file("0::/a/b\n"),
			"sys/fs/cgroup/a/b/cpu.max": file("150000 100000\n"),
			"sys/fs/cgroup/a/cpu.max":   file("max 100000\n"),
		}, &quota{true, 1.5}},
		"of one above": {fstest.MapFS{
			"proc/self/cgroup":          file("1:cpu:/x\n0::/a/b\n"),
			"sys/fs/cgroup/a/b/cpu.max": file("400000 100000\n"),
			"sys/fs/cgroup/a/cpu.max":   file("50000 100000\n"),
		}, &quota{true, 0.5}},
		"of version 1": {fstest.MapFS{
			"proc/self/cgroup":                       file("3:cpu,cpuacct:/x\n0::/\n"),
			"sys/fs/cgroup/cpu/x/cpu.cfs_quota_us":   file("200000\n"),
			"sys/fs/cgroup/cpu/x/cpu.cfs_period_us":  file("100000\n"),
			"sys/fs/cgroup/cpu/cpu.cfs_quota_us":     file("-1\n"),
			"sys/fs/cgroup/cpu/cpu.cfs_period_us":    file("100000\n"),
			"sys/fs/cgroup/unrelated/cpu.max":        file("1 100000\n"),
			"sys/fs/cgroup/cpu/y/cpu.cfs_quota_us":   file("1\n"),
			"sys/fs/cgroup/cpu/y/cpu.cfs_period_us0": file("1\n"),
		}, &quota{true, 2}},
	} {
		got, ok := readQuota(c.files)
		require.Equal(t, c.want != nil, ok, name)
		if ok {
			require.Equal(t, *c.want, got, name)
		}
	}
}

func TestASystemThatTellsNothingIsNoReasonToPraiseOrToFail(t *testing.T) {
	m := readMachine(fstest.MapFS{}, results.Environment{CPUs: 4, Procs: 4})
	m.files = nil
	for _, f := range []Finding{judgeLoad(m), judgeGovernor(m), judgeFiles(m), judgePorts(m), judgeBacklog(m)} {
		require.Equal(t, Unknown, f.Level, f)
		require.Contains(t, f.Found, "not told by this system")
	}
	require.Contains(t, judgeProcessors(m).Found, "a quota is not told")
}

func FuzzFilesOfTheKernel(f *testing.F) {
	for _, seed := range []string{"", "1.0 2", "32768 60999", "TCP: tw 5", "max 100000", "150000 100000", "0::/a/../..", "1:cpu:x", "-1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if load, ok := loadIn(text); ok {
			require.GreaterOrEqual(t, load, 0.0)
		}
		if ports, ok := portsIn(text); ok {
			require.Positive(t, ports.count())
			require.LessOrEqual(t, ports.last, 65535)
		}
		if n, ok := timeWaitIn(text); ok {
			require.GreaterOrEqual(t, n, 0)
		}
		for _, read := range []func() (quota, bool){func() (quota, bool) { return quotaIn(text) }, func() (quota, bool) { return oldQuotaIn(text, "100000") }} {
			if q, ok := read(); ok && q.limited {
				require.Positive(t, q.cpus)
			}
		}
		group := groupIn(text, "")
		require.True(t, group == "" || strings.Contains(text, group))
		readQuota(fstest.MapFS{"proc/self/cgroup": file(text)}) // it ends, whatever the group is called
	})
}
