using System;
using NUnit.Framework;

[TestFixture]
public class UnitTests
{
    int setups;

    [SetUp] public void SetUp() { setups++; }
    [Test] public void Passes() { Assert.AreEqual(4, 2 + 2); }
    [Test] public void Throws() { Assert.Throws<ArgumentNullException>(() => string.Join(",", (string[])null)); }
    [Test] public void Fails() { Assert.AreEqual("left", "right"); }
    [Test, Ignore("on purpose")] public void Ignored() { Assert.Fail(); }
    [TestCase(1, 2, 3)] [TestCase(2, 2, 5)] public void Sums(int a, int b, int sum) { Assert.That(a + b, Is.EqualTo(sum)); }
    [Test] public void SetsUpBefore() { Assert.Greater(setups, 0); }
}
