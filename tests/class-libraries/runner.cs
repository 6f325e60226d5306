// Runs the tests of the assemblies that its arguments name.
static class Program
{
    static void Main(string[] arguments) { new NUnitLite.Runner.TextUI().Execute(arguments); }
}
