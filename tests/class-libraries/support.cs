// What NUnitLite calls where it is built for Mono's own tests: a line for each test that begins, and one for each that fails, goes
// to the file that SAKI_TEST_RESULTS names.
using System;
using System.IO;
using NUnit.Framework.Api;

namespace Xamarin
{
    public static class BabysitterSupport
    {
        static readonly StreamWriter Results = new StreamWriter(Environment.GetEnvironmentVariable("SAKI_TEST_RESULTS"), true) { AutoFlush = true };

        static void Write(string what, string test)
        {
            lock (Results)
                Results.WriteLine(what + " " + test);
        }

        public static ITestFilter AddBabysitterFilter(ITestFilter filter) { return filter; }
        public static void RecordEnterTest(string test) { Write("began", test); }
        public static void RecordLeaveTest(string test) { Write("ended", test); }
        public static void RecordFailedTest(string test) { Write("failed", test); }
    }
}
