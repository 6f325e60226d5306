/* Functions of the conventions that 32-bit x86 has beside C's; elsewhere all are C's. */
#ifdef __i386__
#define STDCALL __attribute__((stdcall))
#define THISCALL __attribute__((thiscall))
#else
#define STDCALL
#define THISCALL
#endif

typedef struct { double x, y, z; } Triple;
typedef struct { int number; } Object;

int STDCALL add(int a, long long b, double c) { return a + (int)b + (int)c; }
int STDCALL nothing(void) { return 5; }
double STDCALL half(double a) { return a / 2; }
Triple STDCALL triple(double a, Triple b) { return (Triple){ a + b.x, a + b.y, a + b.z }; }
int THISCALL member(Object *self, int a, double b) { return self->number + a + (int)b; }
int THISCALL floats_first(double a, Object *b, int c) { return (int)a + b->number + c; }

/* Declared as stdcall by the program. */
int of_c(int a, int b) { return 10 * a + b; }

int call(int STDCALL (*function)(int, long long, double), int count)
{
    int sum = 0;
    for (int i = 0; i < count; i++)
        sum += function(i, 2, 0.5);
    return sum;
}
Triple call_triple(Triple STDCALL (*function)(double, Triple), double a) { return function(a, (Triple){ 1, 2, 3 }); }
int call_member(int THISCALL (*function)(Object *, int, double), Object *object) { return function(object, 7, 8.5); }
void *address(void) { return (void *)add; }
