package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of processor times in /proc: Linux shows them in hundredths of a second on every machine.
const tick = 10 * time.Millisecond

// times is what the kernel says of a process.
type times struct {
	parent   int
	own      time.Duration // user and system, all threads
	children time.Duration // of those that ended and were waited for, and of theirs
}

// timesOf reads the times of a process.
func timesOf(pid int) (times, error) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return times{}, fmt.Errorf("read the times of process %d: %w", pid, err)
	}
	return parseStat(text)
}

func parseStat(text []byte) (times, error) {
	_, rest, ok := bytes.Cut(text[max(0, bytes.LastIndexByte(text, ')')):], []byte(") ")) // a program's name may hold anything
	f := strings.Fields(string(rest))
	if !ok || len(f) < 15 {
		return times{}, errors.New("/proc has another format than expected")
	}
	n := func(i int) time.Duration {
		v, _ := strconv.ParseInt(f[i], 10, 64) // the kernel writes numbers
		return time.Duration(v) * tick
	}
	parent, _ := strconv.Atoi(f[1])
	return times{parent: parent, own: n(11) + n(12), children: n(13) + n(14)}, nil
}

// treeTime is the processor time of a process, its live children and those that ended. A child that ends while we look would be
// counted twice or not at all: then we look again.
func treeTime(pid int) (time.Duration, error) {
	for {
		before, err := timesOf(pid)
		if err != nil {
			return 0, err
		}
		sum := before.own + before.children
		stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the only error is a bad pattern
		for _, name := range stats {
			text, err := os.ReadFile(name) //nolint:gosec // a process
			if err != nil {
				continue // gone meanwhile
			}
			if t, err := parseStat(text); err == nil && t.parent == pid {
				sum += t.own
			}
		}
		after, err := timesOf(pid)
		if err != nil {
			return 0, err
		}
		if after.children == before.children {
			return sum, nil
		}
	}
}

// machineTime is what all processes together have used, and what the hypervisor took. Time in interrupts is left out: it is that
// of the loopback network for the most part, and the kernel charges it to nobody.
func machineTime() (time.Duration, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, fmt.Errorf("read the machine's times: %w", err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	f := strings.Fields(first)
	if len(f) < 9 {
		return 0, errors.New("/proc/stat has another format than expected")
	}
	var sum time.Duration
	for _, i := range []int{1, 2, 3, 8} { // user, nice, system, stolen
		v, err := strconv.ParseInt(f[i], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read the machine's times: %w", err)
		}
		sum += time.Duration(v) * tick
	}
	return sum, nil
}

// foreignShare is which part of the machine's processors others took. Times come in ticks, so that it can miss its bounds by a little.
func foreignShare(busy, ours, wall time.Duration) float64 {
	return min(max(float64(busy-ours)/(float64(wall)*float64(runtime.NumCPU())), 0), 1)
}

// residentMiB is the memory of a process.
func residentMiB(pid int) (float64, error) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return 0, fmt.Errorf("read the memory of process %d: %w", pid, err)
	}
	_, rest, ok := strings.Cut(string(text), "VmRSS:")
	f := strings.Fields(rest)
	if !ok || len(f) == 0 {
		return 0, fmt.Errorf("the memory of process %d is not shown", pid)
	}
	kib, err := strconv.ParseFloat(f[0], 64)
	return kib / 1024, err
}
