package library

import (
	"os"
	"path/filepath"
	"regexp"
	goruntime "runtime"
	"strconv"
	"strings"
)

// driver is what is known about NVIDIA's driver and its devices.
type driver struct {
	library string   // path of its library, "" if the loader does not find it
	version string   // "580.95.05"; "" if unknown
	devices []string // one line per device
	hidden  bool     // CUDA_VISIBLE_DEVICES hides all devices
}

// minDrivers maps CUDA versions to the oldest driver, both as major versions.
// Source: "CUDA Compatibility", NVIDIA, table "CUDA Toolkit 11.x, 12.x, and
// 13.x Driver Version Ranges".
var minDrivers = map[string]int{"11": 450, "12": 525, "13": 580}

// driverLibrary is the name of the driver's library on this system.
func driverLibrary() string {
	if goruntime.GOOS == "windows" {
		return "nvcuda.dll"
	}
	return "libcuda.so.1"
}

// findDriver queries nvidia-smi, or Linux's kernel if nvidia-smi is missing.
func findDriver(l loader) driver {
	var d driver
	if goruntime.GOOS == "windows" {
		d.library = firstIn([]string{filepath.Join(os.Getenv("SystemRoot"), "System32")}, driverLibrary())
	} else {
		d.library = l.find(driverLibrary(), "", imports{})
	}
	visible, set := os.LookupEnv("CUDA_VISIBLE_DEVICES")
	d.hidden = set && (visible == "" || strings.HasPrefix(visible, "-"))
	d.ask(output("nvidia-smi", "--query-gpu=driver_version,name,compute_cap,memory.total", "--format=csv,noheader"))
	if d.version == "" {
		const proc = "/proc/driver/nvidia"
		if text, err := os.ReadFile(proc + "/version"); err == nil {
			d.version = kernelVersion.FindString(string(text))
		}
		gpus, err := os.ReadDir(proc + "/gpus")
		if err != nil {
			return d // without this folder there is no driver
		}
		for _, gpu := range gpus {
			d.devices = append(d.devices, "one at "+gpu.Name())
		}
	}
	return d
}

// kernelVersion finds the version in /proc/driver/nvidia/version, which
// contains "... Kernel Module for x86_64  580.65.06  Release Build ...".
var kernelVersion = regexp.MustCompile(`\b\d{3,}\.\d+(?:\.\d+)?\b`)

// ask parses the output of nvidia-smi, one line per device: "580.95.05, NVIDIA
// H100 80GB HBM3, 9.0, 81559 MiB".
func (d *driver) ask(text string) {
	for line := range strings.Lines(text) {
		fields := strings.Split(strings.TrimSpace(line), ", ")
		if len(fields) == 4 {
			d.version = fields[0]
			d.devices = append(d.devices, fields[1]+" (compute capability "+fields[2]+", "+fields[3]+")")
		}
	}
}

// checks returns the lines about the driver and the device.
func (d driver) checks(cuda string) []Check {
	driver := Check{Name: "nvidia driver", Remedy: remedyDriver}
	least := minDrivers[cuda]
	first, _, _ := strings.Cut(d.version, ".")
	major, err := strconv.Atoi(first)
	switch {
	case d.library == "" && d.version == "":
		driver.Status, driver.Detail = NotFound, driverLibrary()+" is not found, and nothing shows that there is a driver"
	case d.library == "":
		driver.Status, driver.Detail = Unavailable, "the driver is "+d.version+", but "+driverLibrary()+" is not found"
		driver.Remedy = "install the driver's libraries; start a container with `--gpus all`"
	case err == nil && major < least:
		driver.Status, driver.Detail = Unavailable, "the driver is "+d.version+", and CUDA "+cuda+" needs "+strconv.Itoa(least)+" or newer"
	default:
		driver = Check{Name: driver.Name, Status: OK, Detail: d.library}
		if d.version != "" {
			driver.Detail = d.version + ", " + d.library
		}
		if least > 0 {
			driver.Detail += "; CUDA " + cuda + " needs " + strconv.Itoa(least) + " or newer"
		}
	}
	device := Check{Name: "nvidia device", Remedy: remedyDevice}
	switch {
	case len(d.devices) == 0:
		device.Status, device.Detail = NotFound, "no GPU is seen"
	case d.hidden:
		device.Status, device.Detail = Unavailable, "CUDA_VISIBLE_DEVICES hides "+strings.Join(d.devices, ", ")
	default:
		device = Check{Name: device.Name, Status: OK, Detail: strings.Join(d.devices, ", ")}
	}
	return []Check{driver, device}
}
