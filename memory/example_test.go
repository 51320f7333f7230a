package memory_test

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/sluice-engine/sluice/memory"
)

// What an engine does with a memory: records are read once, and appended from then on.
func ExampleFile() {
	dir, err := os.MkdirTemp("", "sluice")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	file := memory.File(filepath.Join(dir, "memory"))
	for range 2 {
		store, held, err := file.Open()
		if err != nil {
			fmt.Println(err)
			return
		}
		_, _, again := file.Open() // another process, perhaps
		records := 0
		for _, err := range memory.Frames(held.Records) {
			if err == nil {
				records++
			}
		}
		fmt.Println(records, again != nil)
		if err := store.Replace(memory.AppendFrame(nil, []byte("spent: 3"))); err != nil {
			fmt.Println(err)
		}
		if err := store.Close(); err != nil {
			fmt.Println(err)
		}
	}
	// Output:
	// 0 true
	// 1 true
}
