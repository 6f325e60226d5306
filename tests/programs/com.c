/* What com.cs calls: objects of COM in C, and callers of the managed ones. Tables are of C's functions: there is no Windows here. */
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct { uint8_t bytes[16]; } Identity;
typedef struct {
    uint16_t kind, reserved[3];
    union {
        int8_t i1;
        uint8_t u1;
        int16_t i2;
        uint16_t u2;
        int32_t i4;
        uint32_t u4;
        int64_t i8;
        uint64_t u8;
        float r4;
        double r8;
        void *pointer;
        struct { void *first, *second; } record;
    };
} Variant;
typedef struct { int a; double b; } Pair;
typedef struct Counter Counter;
typedef struct {
    int (*query_interface)(Counter *, const Identity *, void **);
    int (*add_reference)(Counter *);
    int (*release)(Counter *);
    int (*get_value)(Counter *, int *);
    int (*set_value)(Counter *, int);
    int (*add)(Counter *, signed char, short, long long, float, double, long long *);
    int (*greet)(Counter *, void *, void **);
    int (*negate)(Counter *, short, short *);
    int (*describe)(Counter *, Variant, Variant *);
    int (*other)(Counter *, Counter *, Counter **);
    int (*sum)(Counter *, int, int *, int *);
    int (*mirror)(Counter *, Pair, Pair *, Pair *);
    int (*fail)(Counter *, int);
    int (*plain)(Counter *, int);
} CounterTable;
typedef struct {
    int (*query_interface)(Counter *, const Identity *, void **);
    int (*add_reference)(Counter *);
    int (*release)(Counter *);
    void *dispatch[4];
    int (*twice)(Counter *, int, int *);
} DispatchTable;
struct Counter {
    const void *table;
    Counter *whole;
    int references, value;
    Counter *second;
};

static const Identity unknown = { { 0, 0, 0, 0, 0, 0, 0, 0, 0xc0, 0, 0, 0, 0, 0, 0, 0x46 } };
static const Identity dispatch = { { 0, 4, 2, 0, 0, 0, 0, 0, 0xc0, 0, 0, 0, 0, 0, 0, 0x46 } };
/* 01234567-89ab-cdef-0123-456789abcdef and its like */
static const Identity counter = { { 0x67, 0x45, 0x23, 0x01, 0xab, 0x89, 0xef, 0xcd, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef } };
static const Identity doubler = { { 0x67, 0x45, 0x23, 0x01, 0xab, 0x89, 0xef, 0xcd, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xee } };
static const Identity nothing = { { 9 } };
enum { NO_INTERFACE = (int)0x80004002 };

static void *bstr(const char *text)
{
    int length = strlen(text);
    uint32_t *area = malloc(4 + 2 * length + 2);
    uint16_t *units = (uint16_t *)(area + 1);
    *area = 2 * length;
    for (int i = 0; i <= length; i++)
        units[i] = text[i];
    return units;
}
static int length_of(void *text) { return text ? *((uint32_t *)text - 1) / 2 : -1; }

static int query(Counter *self, const Identity *identity, void **result)
{
    self = self->whole;
    *result = NULL;
    if (!memcmp(identity, &unknown, 16) || !memcmp(identity, &counter, 16))
        *result = self;
    else if (!memcmp(identity, &doubler, 16))
        *result = self->second;
    if (!*result)
        return NO_INTERFACE;
    self->references++;
    return 0;
}
static int add_reference(Counter *self) { return ++self->whole->references; }
static int release(Counter *self) { return --self->whole->references; }
static int get_value(Counter *self, int *value) { *value = self->value; return 0; }
static int set_value(Counter *self, int value) { self->value = value; return 0; }
static int add(Counter *self, signed char a, short b, long long c, float d, double e, long long *sum)
{
    *sum = a + b + c + (long long)(d * 10) + (long long)(e * 100) + self->value;
    return 0;
}
static int greet(Counter *self, void *name, void **greeting)
{
    char text[] = "hello of 0";
    text[9] += length_of(name);
    *greeting = bstr(text);
    return 0;
}
static int negate(Counter *self, short truth, short *result)
{
    if (truth != 0 && truth != -1)
        return (int)0x80070057;
    *result = truth ? 0 : -1;
    return 0;
}
static int describe(Counter *self, Variant value, Variant *result)
{
    memset(result, 0, sizeof *result);
    result->kind = 3;
    result->i4 = value.kind * 1000 + (value.kind == 8 ? length_of(value.pointer) : value.i1);
    return 0;
}
static Counter *make(int value);
static int other(Counter *self, Counter *given, Counter **result)
{
    *result = given;
    if (given)
        ((const CounterTable *)given->table)->add_reference(given);
    else
        *result = make(self->value + 1);
    return 0;
}
static int sum(Counter *self, int count, int *numbers, int *result)
{
    *result = 0;
    for (int i = 0; i < count; i++)
        *result += numbers[i];
    return 0;
}
static int mirror(Counter *self, Pair pair, Pair *changed, Pair *result)
{
    *changed = (Pair){ changed->a + 1, changed->b + 1 };
    *result = (Pair){ -pair.a, -pair.b };
    return 0;
}
static int fail(Counter *self, int code) { return code; }
static int plain(Counter *self, int a) { return a + self->value; }
static int twice(Counter *self, int a, int *result) { *result = 2 * a; return 0; }

static const CounterTable counter_table = { query, add_reference, release, get_value, set_value, add, greet, negate, describe, other, sum,
                                            mirror, fail, plain };
static const DispatchTable dispatch_table = { query, add_reference, release, { 0 }, twice };

static Counter *make(int value)
{
    Counter *second = calloc(1, sizeof *second), *self = calloc(1, sizeof *self);
    *self = (Counter){ &counter_table, self, 1, value, second };
    *second = (Counter){ &dispatch_table, self, 0, 0, NULL };
    return self;
}
Counter *create(int value) { return make(value); }
int references(Counter *self) { return self->references; }

/* The same tables from the other side. */
#define CALL(object, name, ...) ((const CounterTable *)(object)->table)->name(object, ##__VA_ARGS__)

int use_counter(Counter *object, int *results)
{
    int n = 0;
    long long total = 0;
    void *text = NULL;
    short truth = 5;
    int numbers[] = { 4, 5, 6 };
    Variant variant = { .kind = 3, .i4 = 44 }, described = { 0 };
    Pair pair = { 1, 2.5 }, changed = { 10, 20 }, back = { 0, 0 };
    Counter *next = NULL;
    results[n++] = CALL(object, set_value, 70);
    results[n++] = CALL(object, get_value, &results[0]);
    results[n++] = CALL(object, get_value, NULL);
    results[n++] = CALL(object, add, -1, -2, 3000000000LL, 1.5f, 2.5, &total);
    results[n++] = (int)(total / 1000000);
    results[n++] = (int)(total % 1000000);
    text = bstr("abc");
    void *answer = NULL;
    results[n++] = CALL(object, greet, text, &answer);
    results[n++] = length_of(answer);
    results[n++] = answer ? ((uint16_t *)answer)[0] : 0;
    results[n++] = CALL(object, negate, -1, &truth);
    results[n++] = truth;
    results[n++] = CALL(object, negate, 0, &truth);
    results[n++] = truth;
    results[n++] = CALL(object, describe, variant, &described);
    results[n++] = described.kind;
    results[n++] = described.kind == 8 ? length_of(described.pointer) : described.i4;
    results[n++] = CALL(object, other, object, &next);
    results[n++] = next == object;
    results[n++] = next ? CALL(next, release) : -1;
    results[n++] = CALL(object, other, NULL, &next);
    results[n++] = next != NULL;
    results[n++] = CALL(object, sum, 3, numbers, &results[1]);
    results[n++] = CALL(object, mirror, pair, &changed, &back);
    results[n++] = changed.a + 10 * (int)changed.b + 1000 * back.a;
    results[n++] = CALL(object, fail, 1);
    results[n++] = CALL(object, fail, 2);
    results[n++] = CALL(object, fail, 3);
    results[n++] = CALL(object, plain, 5);
    results[n++] = CALL(object, plain, -1);
    return n;
}
/* 1: IUnknown, 2: IDispatch, 4: ICounter, 8: IDoubler, 16: another. */
int interfaces_of(Counter *object)
{
    const Identity *all[] = { &unknown, &dispatch, &counter, &doubler, &nothing };
    int found = 0;
    for (int i = 0; i < 5; i++) {
        Counter *result;
        if (CALL(object, query_interface, all[i], (void **)&result) == 0) {
            found |= 1 << i;
            CALL(result, release);
        }
    }
    return found;
}
int is_same_object(Counter *a, Counter *b)
{
    Counter *of_a = NULL, *of_b = NULL;
    CALL(a, query_interface, &unknown, (void **)&of_a);
    CALL(b, query_interface, &unknown, (void **)&of_b);
    CALL(a, release);
    CALL(b, release);
    return of_a == of_b;
}
int hold(Counter *object, int by) { return by > 0 ? CALL(object, add_reference) : CALL(object, release); }
int double_it(Counter *object, int a)
{
    int result = 0;
    int code = ((const DispatchTable *)object->table)->twice(object, a, &result);
    return code ? code : result;
}
/* Calls the method in this slot, which returns a number or nothing. */
int call_slot(Counter *object, int slot)
{
    int result = -1;
    int code = ((int (**)(Counter *, int *))object->table)[slot](object, &result);
    return code ? code : result;
}
/* `IDispatch.GetIDsOfNames` */
int number_of_name(Counter *object, uint16_t *name, int *number)
{
    return ((int (**)(Counter *, const Identity *, uint16_t **, unsigned, unsigned, int *))object->table)[5](object, &unknown, &name, 1, 0, number);
}
int dispatch_codes(Counter *object)
{
    unsigned count = 0;
    void *info;
    int (**table)(Counter *, ...) = (int (**)(Counter *, ...))object->table;
    int first = ((int (*)(Counter *, unsigned *))table[3])(object, &count);
    int second = ((int (*)(Counter *, unsigned, unsigned, void **))table[4])(object, 0, 0, &info);
    return first + count + (second == (int)0x80004001 ? 10 : 0);
}

static void *on_thread(void *object)
{
    static int value;
    CALL((Counter *)object, set_value, 99);
    CALL((Counter *)object, get_value, &value);
    return &value;
}
int use_on_thread(Counter *object)
{
    pthread_t thread;
    void *result = NULL;
    pthread_create(&thread, NULL, on_thread, object);
    pthread_join(thread, &result);
    return *(int *)result;
}

/* Interfaces in calls of functions. */
int value_of(Counter *object)
{
    int value = -1;
    if (object)
        CALL(object, get_value, &value);
    return value;
}
Counter *pass(Counter *object)
{
    if (object)
        CALL(object, add_reference);
    return object;
}
void fetch(Counter **place) { *place = make(33); }
int replace(Counter **place)
{
    int value = *place ? value_of(*place) : -1;
    *place = make(34);
    return value;
}
int sum_all(int count, Counter **objects)
{
    int sum = 0;
    for (int i = 0; i < count; i++)
        sum += value_of(objects[i]);
    return sum;
}
typedef struct { int before; Counter *object; void *plain; int after; } Holder;
int value_in(Holder holder) { return holder.before + value_of(holder.object) + (holder.plain != NULL) + holder.after; }
void fill(Holder *holder) { *holder = (Holder){ 1, make(35), NULL, 2 }; }

typedef Counter *(*Exchange)(Counter *in, Counter **both, Counter **out);
int exchange(Exchange function, int *results)
{
    Counter *in = make(1), *both = make(2), *out = NULL, *before = both;
    Counter *result = function(in, &both, &out);
    results[0] = value_of(result);
    results[1] = value_of(out);
    results[2] = both == before;
    results[3] = value_of(both);
    return function(NULL, &both, &out) == NULL;
}

typedef int (*TakesVariant)(int kind, Variant value);
typedef int (*FillsVariant)(int kind, Variant *value);
long long number_in(Variant value)
{
    switch (value.kind) {
    case 16: return value.i1;
    case 17: return value.u1;
    case 2: case 11: return value.i2;
    case 18: return value.u2;
    case 3: case 22: return value.i4;
    case 19: case 23: return value.u4;
    case 20: case 21: return value.i8;
    case 4: return (long long)(value.r4 * 10);
    case 5: return (long long)(value.r8 * 10);
    case 8: return length_of(value.pointer);
    case 9: case 13: return value.pointer != NULL;
    default: return -value.kind;
    }
}
int kind_of(Variant value) { return value.kind; }
int change_variant(Variant *value)
{
    int kind = value->kind;
    *value = (Variant){ .kind = 5, .r8 = kind + 0.5 };
    return kind;
}
int take_variant(TakesVariant function)
{
    static int16_t number = 12;
    int sum = 0;
    sum += function(0, (Variant){ 0 });
    sum += function(3, (Variant){ .kind = 3, .i4 = -7 });
    sum += function(20, (Variant){ .kind = 20, .i8 = 1LL << 40 });
    sum += function(8, (Variant){ .kind = 8, .pointer = bstr("text") });
    sum += function(11, (Variant){ .kind = 11, .i2 = -1 });
    sum += function(5, (Variant){ .kind = 5, .r8 = 1.5 });
    sum += function(0x4002, (Variant){ .kind = 0x4002, .pointer = &number });
    sum += function(13, (Variant){ .kind = 13, .pointer = make(36) });
    return sum;
}
long long fill_variant(FillsVariant function, int kind)
{
    Variant value = { .kind = 3, .i4 = 5 };
    int result = function(kind, &value);
    return result * 1000000LL + value.kind * 1000 + number_in(value);
}
int is_null(void *pointer) { return pointer == NULL; }
int is_null_behind(void **pointer) { return *pointer == NULL; }
