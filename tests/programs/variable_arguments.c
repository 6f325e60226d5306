/* Writes its variable arguments as text; `kinds` names their types. */
#include <stdarg.h>
#include <stdio.h>

struct Point { double x, y; };
struct Pair { int first; signed char second; };

long long describe(char *out, float scale, const char *kinds, ...)
{
    va_list list;
    long long sum = 0;
    out += sprintf(out, "%.2f:", scale);
    va_start(list, kinds);
    for (; *kinds; kinds++) {
        switch (*kinds) {
        case 'i': {
            int value = va_arg(list, int);
            sum += value;
            out += sprintf(out, " %d", value);
            break;
        }
        case 'l': {
            long long value = va_arg(list, long long);
            sum += value;
            out += sprintf(out, " %lld", value);
            break;
        }
        case 'd':
            out += sprintf(out, " %.3f", va_arg(list, double));
            break;
        case 's':
            out += sprintf(out, " %s", va_arg(list, const char *));
            break;
        case 'p': {
            struct Point point = va_arg(list, struct Point);
            out += sprintf(out, " (%.1f, %.1f)", point.x, point.y);
            break;
        }
        case 'c': {
            struct Pair pair = va_arg(list, struct Pair);
            out += sprintf(out, " <%d, %d>", pair.first, pair.second);
            break;
        }
        }
    }
    va_end(list);
    return sum;
}
