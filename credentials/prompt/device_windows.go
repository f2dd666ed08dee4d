package prompt

import (
	"cmp"
	"os"

	"golang.org/x/sys/windows"
)

func openDevice(device string) (in, out *os.File, err error) {
	if in, err = os.OpenFile(cmp.Or(device, "CONIN$"), os.O_RDWR, 0); err != nil {
		return nil, nil, err
	}
	if out, err = os.OpenFile("CONOUT$", os.O_RDWR, 0); err != nil {
		in.Close()
		return nil, nil, err
	}
	return in, out, nil
}

func inBackground(int) bool { return false }

// discard throws away what was typed and not read.
func discard(f *os.File) {
	windows.FlushConsoleInputBuffer(windows.Handle(f.Fd()))
}
