// Stands for the driver's library, libcuda, in a program that is linked where there is none and has to start where there is
// none: each function calls that of libcuda.so.1 if the machine has it, and else answers CUDA_ERROR_NO_DEVICE. For x86-64.
// functions.h has a line FUNCTION(name) for each.
#include <dlfcn.h>

static int no_device(void) {
    return 100;
}

// A jump: the arguments stay where the caller has put them.
#define FUNCTION(name)                                                      \
    __attribute__((used)) static void *driver_##name = (void *)no_device;   \
    __asm__(".globl " #name "\n.type " #name ", @function\n" #name ": jmp *driver_" #name "(%rip)");
#include "functions.h"
#undef FUNCTION

__attribute__((constructor)) static void load(void) {
    void *driver = dlopen("libcuda.so.1", RTLD_NOW), *function;
    if (!driver)
        return;
#define FUNCTION(name)                     \
    if ((function = dlsym(driver, #name))) \
        driver_##name = function;
#include "functions.h"
}
