/* A stand-in for libnvidia-ml.so.1: answers NVML calls from a text file that may change at any time.
 *
 * Built against the real nvml.h, so that structures, versions and names are those of the driver's library. The file is
 * named by $NVML_STAND_IN_STATE, else it is the file `nvml.state` beside this library. Its lines, fields separated by
 * tabs:
 *
 *   system  key=value...                    driver=, cuda=, init=<nvmlReturn_t that nvmlInit answers>
 *   gpu     INDEX key=value...              uuid= name= bus= minor= cc=9.0 total= reserved= base= util= memutil= temp=
 *                                           power= (mW) limit= (mW) clock= reasons= mig=0|1; memory in MiB
 *                                           buswidth= (bits) memclock= cores= links= indices of its NVLink
 *                                           peers with commas, or `switch`; numa= slowdown= width= (PCIe lanes)
 *                                           ecc= (uncorrected errors) remap= (1 pending, 2 failed) recovery= xid=
 *   mig     PARENT INDEX key=value...       uuid= name= gi= ci= total= base=
 *   proc    INDEX PID MIB                   a process on the GPU at that place of the list (MIG instances: PARENT:N)
 *   fail    INDEX|* FUNCTION|* CODE         that call answers CODE
 *   delay   INDEX|* FUNCTION|* MS           that call takes MS; below 0 it never returns
 *
 * A second file beside it, with `.claims` added to its name, holds further `proc` lines: what containers claim.
 */
#define _GNU_SOURCE
#define NVML_NO_UNVERSIONED_FUNC_DEFS
#include <nvml.h>

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MAX_DEVICES 160
#define MAX_PROCS 1024
#define MAX_RULES 128
#define MIB 1048576ULL

struct nvmlDevice_st {
    int used, is_mig, parent, index, minor, mig, gi, ci, cc_major, cc_minor;
    char label[16], uuid[96], name[96], bus[32], links[64];
    unsigned long long total, reserved, base, reasons;
    unsigned util, memutil, temp, power, limit, clock, buswidth, memclock, cores, slowdown, width, remap, recovery;
    unsigned long long ecc, xid;
    int numa;
};
struct process { char label[16]; unsigned pid; unsigned long long mib; int unknown; };
struct rule { char label[16], function[64]; long value; };

static struct nvmlDevice_st devices[MAX_DEVICES];
static struct process procs[MAX_PROCS];
static struct rule fails[MAX_RULES], delays[MAX_RULES];
static int n_devices, n_gpus, n_procs, n_fails, n_delays, started, init_code, cuda_version;
static char driver[64];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static const char *state_path(void)
{
    static char path[4096];
    const char *named = getenv("NVML_STAND_IN_STATE");
    if (named) return named;
    if (!path[0]) {
        Dl_info info;
        if (!dladdr((void *)state_path, &info)) return "";
        snprintf(path, sizeof path, "%s", info.dli_fname);
        char *slash = strrchr(path, '/');
        if (slash) snprintf(slash + 1, sizeof path - (size_t)(slash + 1 - path), "nvml.state");
    }
    return path;
}

static const char *field(char **fields, int n, const char *key)
{
    size_t length = strlen(key);
    for (int i = 0; i < n; i++)
        if (!strncmp(fields[i], key, length) && fields[i][length] == '=') return fields[i] + length + 1;
    return NULL;
}

static unsigned long long number(char **fields, int n, const char *key, unsigned long long otherwise)
{
    const char *value = field(fields, n, key);
    return value ? strtoull(value, NULL, 0) : otherwise;
}

static void text(char **fields, int n, const char *key, char *to, size_t size)
{
    const char *value = field(fields, n, key);
    snprintf(to, size, "%s", value ? value : "");
}

static void parse_device(char **f, int n, int is_mig)
{
    if (n_devices >= MAX_DEVICES || n < 2) return;
    struct nvmlDevice_st *d = &devices[n_devices];
    memset(d, 0, sizeof *d);
    d->used = 1;
    d->is_mig = is_mig;
    d->parent = is_mig ? atoi(f[1]) : -1;
    d->index = atoi(f[is_mig ? 2 : 1]);
    if (is_mig) snprintf(d->label, sizeof d->label, "%d:%d", d->parent, d->index);
    else snprintf(d->label, sizeof d->label, "%d", d->index);
    text(f, n, "uuid", d->uuid, sizeof d->uuid);
    text(f, n, "name", d->name, sizeof d->name);
    text(f, n, "bus", d->bus, sizeof d->bus);
    const char *cc = field(f, n, "cc");
    if (cc) sscanf(cc, "%d.%d", &d->cc_major, &d->cc_minor);
    d->minor = (int)number(f, n, "minor", (unsigned long long)d->index);
    d->mig = (int)number(f, n, "mig", 0);
    d->gi = (int)number(f, n, "gi", (unsigned long long)d->index);
    d->ci = (int)number(f, n, "ci", 0);
    d->total = number(f, n, "total", 0);
    d->reserved = number(f, n, "reserved", 0);
    d->base = number(f, n, "base", 0);
    d->util = (unsigned)number(f, n, "util", 0);
    d->memutil = (unsigned)number(f, n, "memutil", 0);
    d->temp = (unsigned)number(f, n, "temp", 30);
    d->power = (unsigned)number(f, n, "power", 50000);
    d->limit = (unsigned)number(f, n, "limit", 300000);
    d->clock = (unsigned)number(f, n, "clock", 1000);
    d->reasons = number(f, n, "reasons", 0);
    d->buswidth = (unsigned)number(f, n, "buswidth", 5120);
    d->memclock = (unsigned)number(f, n, "memclock", 2619);
    d->cores = (unsigned)number(f, n, "cores", 16896);
    text(f, n, "links", d->links, sizeof d->links);
    d->numa = (int)number(f, n, "numa", 0);
    d->slowdown = (unsigned)number(f, n, "slowdown", 87);
    d->width = (unsigned)number(f, n, "width", 16);
    d->ecc = number(f, n, "ecc", 0);
    d->remap = (unsigned)number(f, n, "remap", 0);
    d->recovery = (unsigned)number(f, n, "recovery", 0);
    d->xid = number(f, n, "xid", 0);
    n_devices++;
    if (!is_mig) n_gpus++;
}

static void parse_rule(char **f, int n, struct rule *rules, int *count)
{
    if (n < 4 || *count >= MAX_RULES) return;
    struct rule *r = &rules[(*count)++];
    snprintf(r->label, sizeof r->label, "%s", f[1]);
    snprintf(r->function, sizeof r->function, "%s", f[2]);
    r->value = atol(f[3]);
}

struct source { struct timespec changed; off_t size; ino_t inode; };
static struct source seen_state = {.size = -1}, seen_claims = {.size = -1};

/* Whether a file is another than at the last look; a missing one has size -1. */
static int differs(const char *path, struct source *before)
{
    struct stat st;
    struct source now = {.size = -1};
    if (!stat(path, &st)) now = (struct source){st.st_mtim, st.st_size, st.st_ino};
    int same = now.size == before->size && now.inode == before->inode && now.changed.tv_sec == before->changed.tv_sec
        && now.changed.tv_nsec == before->changed.tv_nsec;
    *before = now;
    return !same;
}

static void read_lines(const char *path)
{
    FILE *file = fopen(path, "r");
    if (!file) return;
    char line[2048];
    while (fgets(line, sizeof line, file)) {
        char *fields[40];
        int n = 0;
        line[strcspn(line, "\n")] = 0;
        for (char *save, *part = strtok_r(line, "\t", &save); part && n < 40; part = strtok_r(NULL, "\t", &save)) fields[n++] = part;
        if (!n) continue;
        if (!strcmp(fields[0], "system")) {
            if (field(fields, n, "driver")) text(fields, n, "driver", driver, sizeof driver);
            cuda_version = (int)number(fields, n, "cuda", 13000);
            init_code = (int)number(fields, n, "init", NVML_SUCCESS);
        }
        else if (!strcmp(fields[0], "gpu")) parse_device(fields, n, 0);
        else if (!strcmp(fields[0], "mig")) parse_device(fields, n, 1);
        else if (!strcmp(fields[0], "fail")) parse_rule(fields, n, fails, &n_fails);
        else if (!strcmp(fields[0], "delay")) parse_rule(fields, n, delays, &n_delays);
        else if (!strcmp(fields[0], "proc") && n >= 4 && n_procs < MAX_PROCS) {
            struct process *p = &procs[n_procs++];
            snprintf(p->label, sizeof p->label, "%s", fields[1]);
            p->pid = (unsigned)atoi(fields[2]);
            p->unknown = !strcmp(fields[3], "?");
            p->mib = strtoull(fields[3], NULL, 0);
        }
    }
    fclose(file);
}

/* With the lock held: read both files again if one changed. No state is a machine whose driver is not loaded. */
static void refresh(void)
{
    char claims[4200];
    snprintf(claims, sizeof claims, "%s.claims", state_path());
    int changed = differs(state_path(), &seen_state);
    changed |= differs(claims, &seen_claims);
    if (!changed) return;
    n_devices = n_gpus = n_procs = n_fails = n_delays = 0;
    init_code = seen_state.size < 0 ? NVML_ERROR_DRIVER_NOT_LOADED : NVML_SUCCESS;
    snprintf(driver, sizeof driver, "580.95.05");
    cuda_version = 13000;
    read_lines(state_path());
    read_lines(claims);
}

static int matches(const struct rule *r, const char *label, const char *function)
{
    return (!strcmp(r->label, "*") || !strcmp(r->label, label)) && (!strcmp(r->function, "*") || !strcmp(r->function, function));
}

/* Every call begins here: delays, planned errors, and a copy of the device so that the lock is not held while it waits. */
static nvmlReturn_t enter(nvmlDevice_t device, const char *function, struct nvmlDevice_st *copy)
{
    long wait = 0;
    nvmlReturn_t code = NVML_SUCCESS;
    const char *label = "*none*";
    pthread_mutex_lock(&lock);
    if (!started) { pthread_mutex_unlock(&lock); return NVML_ERROR_UNINITIALIZED; }
    refresh();
    if (device) {
        if (device < devices || device >= devices + MAX_DEVICES) { pthread_mutex_unlock(&lock); return NVML_ERROR_INVALID_ARGUMENT; }
        if (device >= devices + n_devices) { pthread_mutex_unlock(&lock); return NVML_ERROR_GPU_IS_LOST; }
        label = device->label;
        *copy = *device;
    }
    for (int i = 0; i < n_delays; i++) if (matches(&delays[i], label, function)) wait = delays[i].value;
    for (int i = 0; i < n_fails; i++) if (matches(&fails[i], label, function)) code = (nvmlReturn_t)fails[i].value;
    pthread_mutex_unlock(&lock);
    if (wait < 0) for (;;) pause();
    if (wait) usleep((useconds_t)(wait * 1000));
    return code;
}

#define ENTER(device) \
    struct nvmlDevice_st d; \
    if (!(device)) return NVML_ERROR_INVALID_ARGUMENT; \
    nvmlReturn_t code = enter(device, __func__, &d); \
    if (code != NVML_SUCCESS) return code

#define NOT_ON_MIG() if (d.is_mig) return NVML_ERROR_NOT_SUPPORTED
#define NEEDS(pointer) if (!(pointer)) return NVML_ERROR_INVALID_ARGUMENT

static unsigned long long used_mib(const struct nvmlDevice_st *d)
{
    unsigned long long used = d->base;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < n_procs; i++) if (!strcmp(procs[i].label, d->label)) used += procs[i].mib;
    pthread_mutex_unlock(&lock);
    return used;
}

nvmlReturn_t nvmlInit_v2(void)
{
    pthread_mutex_lock(&lock);
    refresh();
    nvmlReturn_t code = (nvmlReturn_t)init_code;
    if (code == NVML_SUCCESS) started++;
    pthread_mutex_unlock(&lock);
    return code;
}
nvmlReturn_t nvmlInitWithFlags(unsigned int flags) { (void)flags; return nvmlInit_v2(); }
nvmlReturn_t nvmlInit(void) { return nvmlInit_v2(); }
nvmlReturn_t nvmlShutdown(void)
{
    pthread_mutex_lock(&lock);
    nvmlReturn_t code = started ? NVML_SUCCESS : NVML_ERROR_UNINITIALIZED;
    if (started) started--;
    pthread_mutex_unlock(&lock);
    return code;
}
const char *nvmlErrorString(nvmlReturn_t result)
{
    switch (result) {
    case NVML_SUCCESS: return "Success";
    case NVML_ERROR_UNINITIALIZED: return "Uninitialized";
    case NVML_ERROR_INVALID_ARGUMENT: return "Invalid Argument";
    case NVML_ERROR_NOT_SUPPORTED: return "Not Supported";
    case NVML_ERROR_NO_PERMISSION: return "Insufficient Permissions";
    case NVML_ERROR_NOT_FOUND: return "Not Found";
    case NVML_ERROR_DRIVER_NOT_LOADED: return "Driver Not Loaded";
    case NVML_ERROR_GPU_IS_LOST: return "GPU is lost";
    case NVML_ERROR_LIB_RM_VERSION_MISMATCH: return "Driver/library version mismatch";
    default: return "Unknown Error";
    }
}

nvmlReturn_t nvmlSystemGetDriverVersion(char *to, unsigned int length)
{
    NEEDS(to);
    nvmlReturn_t code = enter(NULL, __func__, NULL);
    if (code == NVML_SUCCESS) snprintf(to, length, "%s", driver);
    return code;
}
nvmlReturn_t nvmlSystemGetNVMLVersion(char *to, unsigned int length) { return nvmlSystemGetDriverVersion(to, length); }
nvmlReturn_t nvmlSystemGetCudaDriverVersion(int *to) { NEEDS(to); *to = cuda_version; return NVML_SUCCESS; }
nvmlReturn_t nvmlSystemGetCudaDriverVersion_v2(int *to) { return nvmlSystemGetCudaDriverVersion(to); }

nvmlReturn_t nvmlDeviceGetCount_v2(unsigned int *to)
{
    NEEDS(to);
    nvmlReturn_t code = enter(NULL, __func__, NULL);
    *to = (unsigned)n_gpus;
    return code;
}
static nvmlReturn_t find(nvmlDevice_t *to, const char *function, int (*same)(const struct nvmlDevice_st *, const void *), const void *what)
{
    NEEDS(to);
    nvmlReturn_t code = enter(NULL, function, NULL);
    if (code != NVML_SUCCESS) return code;
    for (int i = 0; i < n_devices; i++)
        if (same(&devices[i], what)) { *to = &devices[i]; return enter(&devices[i], function, &(struct nvmlDevice_st){0}); }
    return NVML_ERROR_NOT_FOUND;
}
static int same_index(const struct nvmlDevice_st *d, const void *what) { return !d->is_mig && d->index == *(const int *)what; }
static int same_uuid(const struct nvmlDevice_st *d, const void *what) { return !strcmp(d->uuid, what); }
static int same_bus(const struct nvmlDevice_st *d, const void *what) { return !d->is_mig && !strcasecmp(d->bus, what); }
nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned int index, nvmlDevice_t *to)
{
    int place = (int)index;
    nvmlReturn_t code = find(to, __func__, same_index, &place);
    return code == NVML_ERROR_NOT_FOUND ? NVML_ERROR_INVALID_ARGUMENT : code;
}
nvmlReturn_t nvmlDeviceGetHandleByUUID(const char *uuid, nvmlDevice_t *to) { NEEDS(uuid); return find(to, __func__, same_uuid, uuid); }
nvmlReturn_t nvmlDeviceGetHandleByPciBusId_v2(const char *bus, nvmlDevice_t *to) { NEEDS(bus); return find(to, __func__, same_bus, bus); }

#define STRING(function, member) \
    nvmlReturn_t function(nvmlDevice_t device, char *to, unsigned int length) \
    { ENTER(device); NEEDS(to); if (strlen(d.member) >= length) return NVML_ERROR_INSUFFICIENT_SIZE; strcpy(to, d.member); return NVML_SUCCESS; }
#define VALUE(function, type, expression) \
    nvmlReturn_t function(nvmlDevice_t device, type *to) { ENTER(device); NEEDS(to); NOT_ON_MIG(); *to = (type)(expression); return NVML_SUCCESS; }

STRING(nvmlDeviceGetName, name)
STRING(nvmlDeviceGetUUID, uuid)
VALUE(nvmlDeviceGetPowerUsage, unsigned int, d.power)
VALUE(nvmlDeviceGetEnforcedPowerLimit, unsigned int, d.limit)
VALUE(nvmlDeviceGetPowerManagementLimit, unsigned int, d.limit)
VALUE(nvmlDeviceGetMinorNumber, unsigned int, d.minor)
VALUE(nvmlDeviceGetCurrentClocksEventReasons, unsigned long long, d.reasons)
VALUE(nvmlDeviceGetCurrentClocksThrottleReasons, unsigned long long, d.reasons)
VALUE(nvmlDeviceGetPerformanceState, nvmlPstates_t, 0)
VALUE(nvmlDeviceGetPersistenceMode, nvmlEnableState_t, 1)
VALUE(nvmlDeviceGetDisplayMode, nvmlEnableState_t, 0)
VALUE(nvmlDeviceGetDisplayActive, nvmlEnableState_t, 0)
VALUE(nvmlDeviceGetComputeMode, nvmlComputeMode_t, 0)
nvmlReturn_t nvmlDeviceGetIndex(nvmlDevice_t device, unsigned int *to) { ENTER(device); NEEDS(to); *to = (unsigned)d.index; return NVML_SUCCESS; }
nvmlReturn_t nvmlDeviceGetFanSpeed(nvmlDevice_t device, unsigned int *to) { ENTER(device); (void)to; return NVML_ERROR_NOT_SUPPORTED; }
nvmlReturn_t nvmlDeviceGetSerial(nvmlDevice_t device, char *to, unsigned int length) { ENTER(device); (void)to; (void)length; return NVML_ERROR_NOT_SUPPORTED; }

static nvmlReturn_t driver_model(nvmlDevice_t device, const char *function)
{ struct nvmlDevice_st d; nvmlReturn_t code = enter(device, function, &d); return code == NVML_SUCCESS ? NVML_ERROR_NOT_SUPPORTED : code; }
nvmlReturn_t nvmlDeviceGetDriverModel(nvmlDevice_t device, nvmlDriverModel_t *current, nvmlDriverModel_t *pending)
{ (void)current; (void)pending; return driver_model(device, __func__); }
nvmlReturn_t nvmlDeviceGetDriverModel_v2(nvmlDevice_t device, nvmlDriverModel_t *current, nvmlDriverModel_t *pending)
{ (void)current; (void)pending; return driver_model(device, __func__); }

nvmlReturn_t nvmlDeviceGetCudaComputeCapability(nvmlDevice_t device, int *major, int *minor)
{ ENTER(device); NEEDS(major && minor); *major = d.cc_major; *minor = d.cc_minor; return NVML_SUCCESS; }

nvmlReturn_t nvmlDeviceGetPciInfo_v3(nvmlDevice_t device, nvmlPciInfo_t *to)
{
    ENTER(device); NEEDS(to); NOT_ON_MIG();
    memset(to, 0, sizeof *to);
    snprintf(to->busId, sizeof to->busId, "%s", d.bus);
    snprintf(to->busIdLegacy, sizeof to->busIdLegacy, "%.15s", strlen(d.bus) > 4 ? d.bus + 4 : d.bus);
    sscanf(d.bus, "%x:%x:%x", &to->domain, &to->bus, &to->device);
    to->pciDeviceId = 0x233010deU;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t device, nvmlMemory_t *to)
{
    ENTER(device); NEEDS(to);
    unsigned long long used = used_mib(&d) + d.reserved;
    to->total = d.total * MIB;
    to->used = (used > d.total ? d.total : used) * MIB;
    to->free = to->total - to->used;
    return NVML_SUCCESS;
}
nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t device, nvmlMemory_v2_t *to)
{
    ENTER(device); NEEDS(to);
    if (to->version != nvmlMemory_v2) return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    unsigned long long used = used_mib(&d), usable = d.total - d.reserved;
    if (used > usable) used = usable;
    to->total = d.total * MIB;
    to->reserved = d.reserved * MIB;
    to->used = used * MIB;
    to->free = (usable - used) * MIB;
    return NVML_SUCCESS;
}
nvmlReturn_t nvmlDeviceGetBAR1MemoryInfo(nvmlDevice_t device, nvmlBAR1Memory_t *to)
{ ENTER(device); NEEDS(to); to->bar1Total = 256 * MIB; to->bar1Free = 250 * MIB; to->bar1Used = 6 * MIB; return NVML_SUCCESS; }

nvmlReturn_t nvmlDeviceGetUtilizationRates(nvmlDevice_t device, nvmlUtilization_t *to)
{ ENTER(device); NEEDS(to); NOT_ON_MIG(); if (d.mig) return NVML_ERROR_NOT_SUPPORTED; to->gpu = d.util; to->memory = d.memutil; return NVML_SUCCESS; }
nvmlReturn_t nvmlDeviceGetTemperature(nvmlDevice_t device, nvmlTemperatureSensors_t sensor, unsigned int *to)
{ ENTER(device); NEEDS(to); NOT_ON_MIG(); if (sensor != NVML_TEMPERATURE_GPU) return NVML_ERROR_INVALID_ARGUMENT; *to = d.temp; return NVML_SUCCESS; }
nvmlReturn_t nvmlDeviceGetTemperatureV(nvmlDevice_t device, nvmlTemperature_t *to)
{
    ENTER(device); NEEDS(to); NOT_ON_MIG();
    if (to->version != nvmlTemperature_v1) return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    if (to->sensorType != NVML_TEMPERATURE_GPU) return NVML_ERROR_INVALID_ARGUMENT;
    to->temperature = (int)d.temp;
    return NVML_SUCCESS;
}
nvmlReturn_t nvmlDeviceGetClockInfo(nvmlDevice_t device, nvmlClockType_t type, unsigned int *to)
{ ENTER(device); NEEDS(to); NOT_ON_MIG(); *to = type == NVML_CLOCK_MEM ? d.memclock : d.clock; return NVML_SUCCESS; }
nvmlReturn_t nvmlDeviceGetMaxClockInfo(nvmlDevice_t device, nvmlClockType_t type, unsigned int *to)
{ ENTER(device); NEEDS(to); NOT_ON_MIG(); *to = type == NVML_CLOCK_MEM ? d.memclock : 1980; return NVML_SUCCESS; }
nvmlReturn_t nvmlDeviceGetMemoryBusWidth(nvmlDevice_t device, unsigned int *to)
{ ENTER(device); NEEDS(to); NOT_ON_MIG(); *to = d.buswidth; return NVML_SUCCESS; }
nvmlReturn_t nvmlDeviceGetNumGpuCores(nvmlDevice_t device, unsigned int *to)
{ ENTER(device); NEEDS(to); NOT_ON_MIG(); *to = d.cores; return NVML_SUCCESS; }
/* The index of the GPU at the other end of a link, -2 for a switch, -1 where the link is down. */
static int peer(const char *links, unsigned int link)
{
    if (!strcmp(links, "switch")) return link < 18 ? -2 : -1;
    for (const char *at = links; *at; at++) {
        if (link-- == 0) return atoi(at);
        if (!(at = strchr(at, ','))) return -1;
    }
    return -1;
}
nvmlReturn_t nvmlDeviceGetNvLinkState(nvmlDevice_t device, unsigned int link, nvmlEnableState_t *to)
{
    ENTER(device); NEEDS(to); NOT_ON_MIG();
    if (link >= NVML_NVLINK_MAX_LINKS) return NVML_ERROR_INVALID_ARGUMENT;
    if (!d.links[0]) return NVML_ERROR_NOT_SUPPORTED;
    *to = peer(d.links, link) == -1 ? NVML_FEATURE_DISABLED : NVML_FEATURE_ENABLED;
    return NVML_SUCCESS;
}
nvmlReturn_t nvmlDeviceGetNvLinkRemoteDeviceType(nvmlDevice_t device, unsigned int link, nvmlIntNvLinkDeviceType_t *to)
{
    ENTER(device); NEEDS(to); NOT_ON_MIG();
    if (peer(d.links, link) == -1) return NVML_ERROR_NOT_SUPPORTED;
    *to = peer(d.links, link) == -2 ? NVML_NVLINK_DEVICE_TYPE_SWITCH : NVML_NVLINK_DEVICE_TYPE_GPU;
    return NVML_SUCCESS;
}
nvmlReturn_t nvmlDeviceGetNvLinkRemotePciInfo_v2(nvmlDevice_t device, unsigned int link, nvmlPciInfo_t *to)
{
    ENTER(device); NEEDS(to); NOT_ON_MIG();
    int other = peer(d.links, link);
    memset(to, 0, sizeof *to);
    for (int i = 0; other >= 0 && i < n_devices; i++)
        if (!devices[i].is_mig && devices[i].index == other) {
            snprintf(to->busId, sizeof to->busId, "%s", devices[i].bus);
            return NVML_SUCCESS;
        }
    return NVML_ERROR_NOT_SUPPORTED;
}
nvmlReturn_t nvmlDeviceGetEncoderUtilization(nvmlDevice_t device, unsigned int *to, unsigned int *period)
{ ENTER(device); NEEDS(to && period); NOT_ON_MIG(); *to = 0; *period = 167000; return NVML_SUCCESS; }
nvmlReturn_t nvmlDeviceGetDecoderUtilization(nvmlDevice_t device, unsigned int *to, unsigned int *period)
{ ENTER(device); NEEDS(to && period); NOT_ON_MIG(); *to = 0; *period = 167000; return NVML_SUCCESS; }
nvmlReturn_t nvmlDeviceGetTotalEccErrors(nvmlDevice_t device, nvmlMemoryErrorType_t type, nvmlEccCounterType_t counter, unsigned long long *to)
{ ENTER(device); (void)counter; NEEDS(to); *to = type == NVML_MEMORY_ERROR_TYPE_UNCORRECTED ? d.ecc : 0; return NVML_SUCCESS; }
nvmlReturn_t nvmlDeviceGetEccMode(nvmlDevice_t device, nvmlEnableState_t *current, nvmlEnableState_t *pending)
{ ENTER(device); NEEDS(current && pending); NOT_ON_MIG(); *current = *pending = NVML_FEATURE_ENABLED; return NVML_SUCCESS; }
nvmlReturn_t nvmlDeviceGetRemappedRows(nvmlDevice_t device, unsigned int *cor, unsigned int *unc, unsigned int *pending, unsigned int *failed)
{ ENTER(device); NEEDS(cor && unc && pending && failed); NOT_ON_MIG(); *cor = 0; *unc = *pending = d.remap & 1; *failed = d.remap >> 1; return NVML_SUCCESS; }
nvmlReturn_t nvmlDeviceGetTemperatureThreshold(nvmlDevice_t device, nvmlTemperatureThresholds_t which, unsigned int *to)
{ ENTER(device); NEEDS(to); NOT_ON_MIG(); if (which != NVML_TEMPERATURE_THRESHOLD_SLOWDOWN) return NVML_ERROR_NOT_SUPPORTED; *to = d.slowdown; return NVML_SUCCESS; }
nvmlReturn_t nvmlDeviceGetCurrPcieLinkGeneration(nvmlDevice_t device, unsigned int *to) { ENTER(device); NEEDS(to); NOT_ON_MIG(); *to = 5; return NVML_SUCCESS; }
nvmlReturn_t nvmlDeviceGetMaxPcieLinkGeneration(nvmlDevice_t device, unsigned int *to) { ENTER(device); NEEDS(to); NOT_ON_MIG(); *to = 5; return NVML_SUCCESS; }
nvmlReturn_t nvmlDeviceGetCurrPcieLinkWidth(nvmlDevice_t device, unsigned int *to) { ENTER(device); NEEDS(to); NOT_ON_MIG(); *to = d.width; return NVML_SUCCESS; }
nvmlReturn_t nvmlDeviceGetMaxPcieLinkWidth(nvmlDevice_t device, unsigned int *to) { ENTER(device); NEEDS(to); NOT_ON_MIG(); *to = 16; return NVML_SUCCESS; }
nvmlReturn_t nvmlDeviceGetPcieReplayCounter(nvmlDevice_t device, unsigned int *to) { ENTER(device); NEEDS(to); NOT_ON_MIG(); *to = 0; return NVML_SUCCESS; }
nvmlReturn_t nvmlDeviceGetPcieThroughput(nvmlDevice_t device, nvmlPcieUtilCounter_t which, unsigned int *to)
{ ENTER(device); NEEDS(to); NOT_ON_MIG(); usleep(20000); *to = which == NVML_PCIE_UTIL_RX_BYTES ? 2048 : 512; return NVML_SUCCESS; }
nvmlReturn_t nvmlDeviceGetTopologyCommonAncestor(nvmlDevice_t one, nvmlDevice_t other, nvmlGpuTopologyLevel_t *to)
{ ENTER(one); NEEDS(to && other); *to = d.numa == other->numa ? NVML_TOPOLOGY_NODE : NVML_TOPOLOGY_SYSTEM; return NVML_SUCCESS; }

/* Events: an Xid of the state is told once to each set that a GPU is registered with. */
struct nvmlEventSet_st { unsigned long long told[MAX_DEVICES]; int registered[MAX_DEVICES]; };
nvmlReturn_t nvmlEventSetCreate(nvmlEventSet_t *set) { NEEDS(set); *set = calloc(1, sizeof **set); return *set ? NVML_SUCCESS : NVML_ERROR_MEMORY; }
nvmlReturn_t nvmlEventSetFree(nvmlEventSet_t set) { free(set); return NVML_SUCCESS; }
nvmlReturn_t nvmlDeviceRegisterEvents(nvmlDevice_t device, unsigned long long types, nvmlEventSet_t set)
{ ENTER(device); NEEDS(set); (void)types; set->registered[device - devices] = 1; set->told[device - devices] = d.xid; return NVML_SUCCESS; }
nvmlReturn_t nvmlEventSetWait_v2(nvmlEventSet_t set, nvmlEventData_t *data, unsigned int timeout)
{
    NEEDS(set && data);
    for (unsigned waited = 0; waited < timeout; waited += 50) {
        for (int i = 0; i < n_devices; i++) {
            struct nvmlDevice_st now;
            if (!set->registered[i] || enter(&devices[i], __func__, &now) != NVML_SUCCESS) continue;
            if (now.xid && now.xid != set->told[i]) {
                set->told[i] = now.xid;
                memset(data, 0, sizeof *data);
                data->device = &devices[i];
                data->eventType = nvmlEventTypeXidCriticalError;
                data->eventData = now.xid;
                return NVML_SUCCESS;
            }
        }
        usleep(50000);
    }
    return NVML_ERROR_TIMEOUT;
}

nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v3(nvmlDevice_t device, unsigned int *count, nvmlProcessInfo_t *infos)
{
    ENTER(device); NEEDS(count);
    unsigned n = 0, room = *count;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < n_procs; i++) {
        if (strcmp(procs[i].label, d.label)) continue;
        if (infos && n < room) {
            infos[n].pid = procs[i].pid;
            infos[n].usedGpuMemory = procs[i].unknown ? (unsigned long long)NVML_VALUE_NOT_AVAILABLE : procs[i].mib * MIB;
            infos[n].gpuInstanceId = d.is_mig ? (unsigned)d.gi : 0xFFFFFFFFU;
            infos[n].computeInstanceId = d.is_mig ? (unsigned)d.ci : 0xFFFFFFFFU;
        }
        n++;
    }
    pthread_mutex_unlock(&lock);
    *count = n;
    return n > room || (n && !infos) ? NVML_ERROR_INSUFFICIENT_SIZE : NVML_SUCCESS;
}
nvmlReturn_t nvmlDeviceGetGraphicsRunningProcesses_v3(nvmlDevice_t device, unsigned int *count, nvmlProcessInfo_t *infos)
{ ENTER(device); (void)infos; NEEDS(count); *count = 0; return NVML_SUCCESS; }
nvmlReturn_t nvmlDeviceGetMPSComputeRunningProcesses_v3(nvmlDevice_t device, unsigned int *count, nvmlProcessInfo_t *infos)
{ ENTER(device); (void)infos; NEEDS(count); *count = 0; return NVML_SUCCESS; }
nvmlReturn_t nvmlDeviceGetProcessUtilization(nvmlDevice_t device, nvmlProcessUtilizationSample_t *samples, unsigned int *count, unsigned long long since)
{
    ENTER(device); NEEDS(count); NOT_ON_MIG(); (void)since;
    unsigned n = 0, room = *count;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < n_procs; i++) {
        if (strcmp(procs[i].label, d.label)) continue;
        if (samples && n < room) {
            memset(&samples[n], 0, sizeof samples[n]);
            samples[n].pid = procs[i].pid;
            samples[n].timeStamp = (unsigned long long)time(NULL) * 1000000ULL;
            samples[n].smUtil = d.util;
        }
        n++;
    }
    pthread_mutex_unlock(&lock);
    *count = n;
    return !n ? NVML_ERROR_NOT_FOUND : n > room || !samples ? NVML_ERROR_INSUFFICIENT_SIZE : NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMigMode(nvmlDevice_t device, unsigned int *current, unsigned int *pending)
{ ENTER(device); NEEDS(current && pending); NOT_ON_MIG(); *current = *pending = (unsigned)d.mig; return NVML_SUCCESS; }
nvmlReturn_t nvmlDeviceGetMaxMigDeviceCount(nvmlDevice_t device, unsigned int *to)
{ ENTER(device); NEEDS(to); *to = d.mig ? 7 : 0; return NVML_SUCCESS; }
nvmlReturn_t nvmlDeviceGetMigDeviceHandleByIndex(nvmlDevice_t device, unsigned int index, nvmlDevice_t *to)
{
    ENTER(device); NEEDS(to);
    for (int i = 0; i < n_devices; i++)
        if (devices[i].is_mig && devices[i].parent == d.index && devices[i].index == (int)index) { *to = &devices[i]; return NVML_SUCCESS; }
    return NVML_ERROR_NOT_FOUND;
}
nvmlReturn_t nvmlDeviceIsMigDeviceHandle(nvmlDevice_t device, unsigned int *to) { ENTER(device); NEEDS(to); *to = (unsigned)d.is_mig; return NVML_SUCCESS; }
nvmlReturn_t nvmlDeviceGetDeviceHandleFromMigDeviceHandle(nvmlDevice_t device, nvmlDevice_t *to)
{
    ENTER(device); NEEDS(to);
    if (!d.is_mig) return NVML_ERROR_INVALID_ARGUMENT;
    return nvmlDeviceGetHandleByIndex_v2((unsigned)d.parent, to);
}
nvmlReturn_t nvmlDeviceGetGpuInstanceId(nvmlDevice_t device, unsigned int *to) { ENTER(device); NEEDS(to); if (!d.is_mig) return NVML_ERROR_NOT_SUPPORTED; *to = (unsigned)d.gi; return NVML_SUCCESS; }
nvmlReturn_t nvmlDeviceGetComputeInstanceId(nvmlDevice_t device, unsigned int *to) { ENTER(device); NEEDS(to); if (!d.is_mig) return NVML_ERROR_NOT_SUPPORTED; *to = (unsigned)d.ci; return NVML_SUCCESS; }
nvmlReturn_t nvmlDeviceGetFieldValues(nvmlDevice_t device, int count, nvmlFieldValue_t *values)
{
    ENTER(device); NEEDS(values);
    for (int i = 0; i < count; i++) {
        values[i].nvmlReturn = NVML_ERROR_NOT_SUPPORTED;
        if (values[i].fieldId != NVML_FI_DEV_GET_GPU_RECOVERY_ACTION || d.is_mig) continue;
        values[i].nvmlReturn = NVML_SUCCESS;
        values[i].valueType = NVML_VALUE_TYPE_UNSIGNED_INT;
        values[i].value.uiVal = d.recovery;
    }
    return NVML_SUCCESS;
}
